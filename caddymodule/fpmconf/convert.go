package fpmconf

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// block has the options and comments for a pool of php-fpm.
type block struct {
	global   bool // that of [global]
	name     string
	listen   string   // the address of php-fpm's pool, with marks
	comments []string // of lines that are not an option of a pool
	options  []string // of the pool
	split    []string // security.limit_extensions, which is an option of a site
	narrow   *Setting // a security.limit_extensions without which more would run

	listeners []string // the fastcgi blocks of the pool
}

// converter makes Caddyfile lines of a Config.
type converter struct {
	config  *Config
	serving *Serving // nil: the pools are for sites
	lost    []string
	dropped []string // comments of Serve
}

// comment adds a comment that explains a line.
func (c *converter) comment(b *block, s *Setting, reason string) {
	text := comment(s, reason)
	if c.serving != nil {
		if slices.Contains(served, s.Name) {
			return
		}
		c.dropped = append(c.dropped, strings.TrimPrefix(text, "# "))
	}
	b.comments = append(b.comments, text)
}

func comment(s *Setting, reason string) string { return Comment(s.File, s.Line, s.Text, reason) }

// Comment returns a comment of a Caddyfile on a line of another file.
func Comment(file string, line int, text, reason string) string {
	return fmt.Sprintf("# %s:%d: %s: %s", printable(file), line, printable(text), printable(reason))
}

// printable returns text for a comment of a Caddyfile, where Caddy replaces {$NAME} too.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	return strings.TrimSpace(strings.ReplaceAll(text, "{$", "{ $"))
}

// lose reports a line that protects, or may do so, and that the result does not have.
func (c *converter) lose(b *block, s *Setting, reason string) {
	text := comment(s, "NOT IMPORTED: "+reason)
	b.comments = append(b.comments, text)
	c.lost = append(c.lost, strings.TrimPrefix(text, "# "))
}

// drop comments on a line that is not an option of a pool. The table of directives says why.
func (c *converter) drop(b *block, s *Setting) {
	args := []string{text(s.Value)}
	switch {
	case s.Value == "":
		args = nil
	case s.Name == "security.limit_extensions":
		args = strings.Fields(s.Value)
	}
	remedy := Remedy(s.Name, args)
	if reason, ok := strings.CutPrefix(remedy, "remove it, "); ok {
		remedy = "left out, " + reason
	}
	c.comment(b, s, remedy)
}

// option adds the line of the table of directives for a value, such as max_spare VALUE.
func (b *block) option(s *Setting, value string) {
	b.options = append(b.options, strings.TrimPrefix(Remedy(s.Name, []string{text(value)}), "write "))
}

// text returns a value with {$NAME} instead of marks.
func text(value string) string {
	parts := strings.Split(value, mark)
	for i := 1; i < len(parts); i += 2 {
		parts[i] = "{$" + parts[i] + "}"
	}
	return strings.Join(parts, "")
}

// placeholder matches what Caddy would replace in an option of a pool.
var placeholder = regexp.MustCompile(`\{(?:env|file|system|time)\.`)

// token returns a value as one token of a Caddyfile. ok is false if no token has that
// value.
func token(value string) (string, bool) {
	plain := strings.ReplaceAll(value, mark, "")
	if strings.Contains(plain, "{$") || strings.HasSuffix(plain, `\`) && strings.Contains(plain, "`") || strings.Contains(plain, `\"`) && strings.Contains(plain, "`") {
		return "", false
	}
	value = placeholder.ReplaceAllStringFunc(value, func(found string) string { return `\` + found })
	return Quote(text(value)), true
}

// pool converts a pool.
func (c *converter) pool(p *Pool) *block {
	b := &block{name: p.Name}
	v := viewOf(p.Settings)
	b.options = c.php(v)
	b.listen = v.value("listen")
	c.settings(b, v)
	if c.serving != nil {
		c.listen(b, v)
	}
	return b
}

// settings converts the settings of a pool or of [global].
func (c *converter) settings(b *block, v *view) {
	for i := range v.settings {
		s := &v.settings[i]
		if other := v.counts[s.id()]; other != i && !accumulates(s) {
			c.comment(b, s, fmt.Sprintf("left out, because %s:%d counts instead", v.settings[other].File, v.settings[other].Line))
			continue
		}
		c.setting(b, s, v)
	}
	c.lists(b, v)
}

// php returns the options that select php-cgi and its ini files.
func (c *converter) php(v *view) []string {
	var options []string
	if len(v.settings) > 0 {
		options = debian(v.settings[0].File)
	}
	if c.serving == nil {
		return options
	}
	for i, replaced := range []string{c.serving.INIFile, c.serving.INIScanDir} {
		if replaced == "" {
			continue
		}
		line := []string{"ini_file ", "ini_scan_dir "}[i] + Quote(replaced)
		if options == nil {
			options = make([]string, 1, 3)
		}
		if i+1 < len(options) {
			options[i+1] = line
		} else {
			options = append(options, line)
		}
	}
	return slices.DeleteFunc(options, func(line string) bool { return line == "" })
}

// debian returns the options for a file of Debian's php-fpm, or none: its version of
// PHP, with the ini files of php-fpm. Debian's php-cgi has others.
func debian(file string) []string {
	m := regexp.MustCompile(`^/etc/php/(\d+\.\d+)/fpm/`).FindStringSubmatch(filepath.ToSlash(file))
	if m == nil {
		return nil
	}
	dir := "/etc/php/" + m[1] + "/fpm/"
	return []string{"binary " + m[1], "ini_file " + dir + "php.ini", "ini_scan_dir " + dir + "conf.d"}
}

// id is the same for lines of which one counts.
func (s *Setting) id() string {
	if name, ok := strings.CutSuffix(s.Name, "_flag"); ok {
		return name + "_value[" + s.Key + "]"
	}
	return s.Name + "[" + s.Key + "]"
}

// accumulates reports whether php-fpm adds a line to others of its kind.
func accumulates(s *Setting) bool {
	switch s.Name {
	case "php_value", "php_admin_value":
		return slices.Contains([]string{"extension", "disable_functions", "disable_classes"}, s.Key)
	case "access.suppress_path", "include":
		return true
	}
	return s.err != nil
}

// view has the settings of a pool, and which one counts if several are of a kind.
type view struct {
	settings []Setting
	counts   map[string]int // the index, by id
}

// viewOf finds out what counts in php-fpm: the last line of a directive, but the first
// line of those with a key, because php-fpm puts each at the front of a list and then
// applies them in that order (fpm_conf_set_array).
func viewOf(settings []Setting) *view {
	v := &view{settings: settings, counts: map[string]int{}}
	for i := range settings {
		id := settings[i].id()
		if _, ok := v.counts[id]; !ok || settings[i].Key == "" {
			v.counts[id] = i
		}
	}
	return v
}

// value returns the value of a directive without a key, or "".
func (v *view) value(name string) string {
	if i, ok := v.counts[name+"[]"]; ok {
		return v.settings[i].Value
	}
	return ""
}

var decimal = regexp.MustCompile(`^-?\d+$`)

// number returns a whole number of php-fpm. ok is false if php-fpm would not read it.
func number(value string) (string, bool) {
	if strings.Contains(value, mark) {
		return value, true
	}
	if !decimal.MatchString(value) {
		return "", false
	}
	n, err := strconv.Atoi(value)
	return strconv.Itoa(n), err == nil
}
