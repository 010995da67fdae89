package vhosts

import (
	"fmt"
	"regexp"
	"strings"
)

// apacheParser reads the lines of one file (ap_build_config in server/config.c).
type apacheParser struct {
	config *Config
	file   string
	lines  []string
	next   int // the index of the next line
	depth  int // of includes
}

// parseApache returns the directives of a file, with those of the files that it includes.
func (c *Config) parseApache(file, text string, depth int) ([]*directive, error) {
	p := &apacheParser{config: c, file: file, lines: strings.Split(text, "\n"), depth: depth}
	return p.block("", 0, 0)
}

// logical returns the next line, joined with those that it continues on by a backslash.
// The line number is that of its begin.
func (p *apacheParser) logical() (text string, line int, ok bool) {
	for p.next < len(p.lines) {
		line = p.next + 1
		text = ""
		for p.next < len(p.lines) {
			part := strings.TrimRight(p.lines[p.next], "\r")
			p.next++
			rest, continues := strings.CutSuffix(part, `\`)
			text += rest
			if !continues {
				break
			}
		}
		if text = strings.Trim(text, " \t"); text != "" && text[0] != '#' {
			return text, line, true
		}
	}
	return "", 0, false
}

// block reads the lines of a section up to its end, or those of a file.
func (p *apacheParser) block(name string, begin, nested int) ([]*directive, error) {
	if nested > maxNested {
		return nil, fmt.Errorf("%s:%d: more than %d sections in each other", p.file, begin, maxNested)
	}
	var list []*directive
	for {
		text, line, ok := p.logical()
		if !ok {
			if name != "" {
				return nil, fmt.Errorf("%s:%d: <%s> is not closed", p.file, begin, name)
			}
			return list, nil
		}
		if closed, ok := strings.CutPrefix(text, "</"); ok {
			if closed = strings.ToLower(strings.TrimRight(closed, " \t>")); closed != name {
				return nil, fmt.Errorf("%s:%d: </%s> closes no section of that name", p.file, line, closed)
			}
			return list, nil
		}
		d, err := p.directive(text, line, nested)
		if err != nil {
			return nil, err
		}
		if isTransparent(d) {
			list = append(list, d.block...)
			continue
		}
		list = append(list, d)
	}
}

// isTransparent reports whether the lines of a section are taken as if it were not
// there: import cannot know which modules and parameters Apache has.
func isTransparent(d *directive) bool {
	switch d.name {
	case "<ifmodule", "<ifdefine", "<ifversion", "<ifdirective", "<iffile", "<ifsection":
		return true
	}
	return false
}

// directive returns the directive of a line, with the lines of its section or of the
// files that it includes.
func (p *apacheParser) directive(text string, line, nested int) (*directive, error) {
	d := &directive{file: p.file, line: line}
	if strings.HasPrefix(text, "<") {
		text = strings.TrimRight(strings.TrimRight(text, " \t"), ">")
	}
	d.words = apacheWords(p.config.define(text))
	d.name = strings.ToLower(d.words[0])
	var err error
	switch {
	case d.name[0] == '<':
		d.section = true
		d.block, err = p.block(d.name[1:], line, nested+1)
	case (d.name == "include" || d.name == "includeoptional") && d.arg() != "":
		d.block, err = p.config.include(d, d.arg(), p.depth, p.config.parseApache)
	case d.name == "define" && len(d.words) == 3:
		p.config.defines[d.words[1]] = d.words[2]
	}
	return d, err
}

var defined = regexp.MustCompile(`\$\{([A-Za-z0-9_]+)\}`)

// define replaces ${NAME} by the value of Define. Other variables come from Apache's
// environment, which import cannot know.
func (c *Config) define(text string) string {
	return defined.ReplaceAllStringFunc(text, func(found string) string {
		if value, ok := c.defines[found[2:len(found)-1]]; ok {
			return value
		}
		return found
	})
}

// apacheWords splits a line at blanks, and removes quotes (ap_getword_conf). There is
// at least one word.
func apacheWords(text string) []string {
	var words []string
	for rest := strings.TrimLeft(text, " \t"); rest != ""; rest = strings.TrimLeft(rest, " \t") {
		quote := rest[0]
		if quote != '"' && quote != '\'' {
			word, after, _ := strings.Cut(rest, " ")
			if tab := strings.IndexByte(word, '\t'); tab >= 0 {
				word, after = rest[:tab], rest[tab:]
			}
			words, rest = append(words, word), after
			continue
		}
		var out strings.Builder
		i := 1
		for ; i < len(rest) && rest[i] != quote; i++ {
			if rest[i] == '\\' && i+1 < len(rest) && (rest[i+1] == quote || rest[i+1] == '\\') {
				i++
			}
			out.WriteByte(rest[i])
		}
		words, rest = append(words, out.String()), rest[min(i+1, len(rest)):]
	}
	if len(words) == 0 || words[0] == "" {
		return []string{"?"}
	}
	return words
}
