package vhosts

import (
	"fmt"
	"strings"
)

// nginxParser reads the tokens of one file (ngx_conf_read_token in
// src/core/ngx_conf_file.c).
type nginxParser struct {
	config *Config
	file   string
	text   string
	line   int
	depth  int // of includes
}

// parseNginx returns the directives of a file, with those of the files that it includes.
func (c *Config) parseNginx(file, text string, depth int) ([]*directive, error) {
	p := &nginxParser{config: c, file: file, text: text, line: 1, depth: depth}
	list, closed, err := p.block(0)
	if err == nil && closed {
		err = p.errorf("a } without a {")
	}
	return list, err
}

func (p *nginxParser) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.file, p.line, fmt.Sprintf(format, args...))
}

// maxNested is how deep blocks may be nested here. nginx needs about four.
const maxNested = 20

// block reads directives up to the } that closes them, or to the end of the file.
func (p *nginxParser) block(nested int) (list []*directive, closed bool, err error) {
	if nested > maxNested {
		return nil, false, p.errorf("more than %d blocks in each other", maxNested)
	}
	for {
		d, end, err := p.directive()
		if err != nil {
			return nil, false, err
		}
		if d == nil {
			return list, end == '}', nil
		}
		switch {
		case end == '{' && strings.HasSuffix(d.name, "_by_lua_block"):
			p.skipLua()
			d.section = true
		case end == '{':
			d.section = true
			if d.block, closed, err = p.block(nested + 1); err != nil {
				return nil, false, err
			}
			if !closed {
				return nil, false, p.errorf("the end of the file, and the { of line %d is not closed", d.line)
			}
		case d.name == "include" && d.arg() != "":
			if d.block, err = p.config.include(d, d.arg(), p.depth, p.config.parseNginx); err != nil {
				return nil, false, err
			}
		}
		list = append(list, d)
	}
}

// directive reads one directive. end is the character that follows it: a semicolon or a
// brace, 0 at the end of the file. d is nil before } and at the end of the file.
func (p *nginxParser) directive() (d *directive, end byte, err error) {
	for {
		word, special, err := p.word()
		if err != nil {
			return nil, 0, err
		}
		switch {
		case special == 0 || special == ' ':
			if special == 0 {
				if d != nil {
					return nil, 0, p.errorf("the end of the file, and %s has no semicolon", d.text())
				}
				return nil, 0, nil
			}
			if d == nil {
				d = &directive{file: p.file, line: p.line, name: strings.ToLower(word)}
			}
			d.words = append(d.words, word)
		case special == '}' && d == nil:
			return nil, '}', nil
		case d == nil:
			return nil, 0, p.errorf("a %c without a directive", special)
		case special == '}':
			return nil, 0, p.errorf("%s has no semicolon", d.text())
		default:
			return d, special, nil
		}
	}
}

// word reads a word (special is a blank) or one of ; { } (special). special is 0 at the
// end of the file.
func (p *nginxParser) word() (word string, special byte, err error) {
	p.skipBlanks()
	if p.text == "" {
		return "", 0, nil
	}
	if c := p.text[0]; c == ';' || c == '{' || c == '}' {
		p.text = p.text[1:]
		return "", c, nil
	}
	if c := p.text[0]; c == '"' || c == '\'' {
		return p.quoted(c)
	}
	var out strings.Builder
	for i := 0; i < len(p.text); i++ {
		c := p.text[i]
		switch {
		case c == '\\' && i+1 < len(p.text) && p.text[i+1] != '\n':
			i++
			out.WriteString(unescape(p.text[i]))
			continue
		case c == '$' && i+1 < len(p.text) && p.text[i+1] == '{':
			i++
			out.WriteString("${")
			continue
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';' || c == '{':
			p.text = p.text[i:]
			return out.String(), ' ', nil
		}
		out.WriteByte(c)
	}
	p.text = ""
	return out.String(), ' ', nil
}

// quoted reads a word in quotes.
func (p *nginxParser) quoted(quote byte) (word string, special byte, err error) {
	var out strings.Builder
	for i := 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '\\' && i+1 < len(p.text):
			i++
			out.WriteString(unescape(p.text[i]))
		case c == quote:
			p.text = p.text[i+1:]
			return out.String(), ' ', nil
		default:
			out.WriteByte(c)
		}
		if p.text[i] == '\n' {
			p.line++
		}
	}
	return "", 0, p.errorf("a quote is not closed")
}

// unescape returns the characters for a backslash and c. A backslash stays before all
// characters but these, so that regular expressions need no second one.
func unescape(c byte) string {
	switch c {
	case '"', '\'', '\\':
		return string(c)
	case 't', 'r', 'n':
		return " "
	}
	return `\` + string(c)
}

// skipBlanks skips blanks and comments.
func (p *nginxParser) skipBlanks() {
	for p.text != "" {
		switch p.text[0] {
		case '\n':
			p.line++
		case ' ', '\t', '\r':
		case '#':
			if end := strings.IndexByte(p.text, '\n'); end >= 0 {
				p.text = p.text[end:]
			} else {
				p.text = ""
			}
			continue
		default:
			return
		}
		p.text = p.text[1:]
	}
}

// skipLua skips the rest of a block of Lua up to its closing brace.
func (p *nginxParser) skipLua() {
	open := 1
	for i := range len(p.text) {
		switch p.text[i] {
		case '\n':
			p.line++
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				p.text = p.text[i+1:]
				return
			}
		}
	}
	p.text = ""
}
