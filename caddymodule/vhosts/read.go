package vhosts

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/mevdschee/caddy-php-pool/caddymodule/fpmconf"
)

// DefaultFiles are the files of sites in Debian, and what else they need: the
// configuration for PHP that Apache's sites share, and its index files.
var DefaultFiles = []string{
	"/etc/nginx/conf.d/*.conf", "/etc/nginx/sites-enabled/*",
	"/etc/apache2/mods-enabled/dir.conf", "/etc/apache2/conf-enabled/*.conf", "/etc/apache2/sites-enabled/*",
}

// directive is a line or a block.
type directive struct {
	file  string
	line  int
	name  string // in lower case
	words []string
	block []*directive
	// section is true for a block, in Apache's syntax also for one that is always read,
	// such as <IfModule>.
	section bool
	// included is true in a file that a site includes.
	included bool
}

// text returns the line, for a comment.
func (d *directive) text() string {
	text := strings.Join(d.words, " ")
	switch {
	case strings.HasPrefix(text, "<"):
		return text + ">"
	case d.section:
		return text + " { }"
	}
	return text
}

// args returns the words after the name.
func (d *directive) args() []string { return d.words[1:] }

// arg returns the first word after the name, or "".
func (d *directive) arg() string {
	if len(d.words) < 2 {
		return ""
	}
	return d.words[1]
}

// Config is the content of the files of a web server.
type Config struct {
	source fpmconf.Source
	seen   []string // files that were read

	nginx, apache []*directive
	// defines are Apache's, from Define.
	defines map[string]string
}

// Read reads the files of the patterns. A pattern may match no file, but all together
// have to match one.
func Read(source fpmconf.Source, patterns []string) (*Config, error) {
	c := &Config{source: source, defines: map[string]string{}}
	for _, pattern := range patterns {
		files, err := source.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s is not a pattern of files: %w", pattern, err)
		}
		slices.Sort(files)
		for _, file := range files {
			if slices.Contains(c.seen, file) {
				continue
			}
			if err := c.readFile(file); err != nil {
				return nil, err
			}
		}
	}
	if len(c.seen) == 0 {
		return nil, fmt.Errorf("no file matches %s: write the files of the sites, such as --sites='/etc/nginx/vhosts/*.conf'", strings.Join(patterns, " or "))
	}
	return c, nil
}

// nginx ends a directive with a semicolon or a brace, Apache with its line. Apache has
// sections such as <VirtualHost>.
var (
	sectionLine = regexp.MustCompile(`(?m)^[ \t]*<[A-Za-z]`)
	nginxLine   = regexp.MustCompile(`(?m)^[^#\n]*[;{}][ \t\r]*(?:#.*)?$`)
)

// isApache reports whether a file is in Apache's syntax.
func isApache(text []byte) bool { return sectionLine.Match(text) || !nginxLine.Match(text) }

func (c *Config) readFile(file string) error {
	text, err := c.source.ReadFile(file)
	if err != nil {
		return err
	}
	c.seen = append(c.seen, file)
	if isApache(text) {
		found, err := c.parseApache(file, string(text), 1)
		c.apache = append(c.apache, found...)
		return err
	}
	found, err := c.parseNginx(file, string(text), 1)
	c.nginx = append(c.nginx, found...)
	return err
}

// maxInclude is how deep files may include each other. nginx and Apache have no limit,
// and files that include themselves do not start there.
const maxInclude = 10

var errTooDeep = errors.New("files include each other more than 10 times")

// include returns the directives of the files that match a pattern. A path that is not
// absolute begins at a directory of the web server: the nearest one above the file
// where it matches.
func (c *Config) include(from *directive, pattern string, depth int, parse func(file, text string, depth int) ([]*directive, error)) ([]*directive, error) {
	if depth >= maxInclude {
		return nil, fmt.Errorf("%s:%d: %w", from.file, from.line, errTooDeep)
	}
	files, err := c.includes(from.file, pattern)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %s is not a pattern of files: %w", from.file, from.line, pattern, err)
	}
	var all []*directive
	for _, file := range files {
		text, err := c.source.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", from.file, from.line, err)
		}
		found, err := parse(file, string(text), depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	markIncluded(all)
	return all, nil
}

func (c *Config) includes(file, pattern string) ([]string, error) {
	if filepath.IsAbs(pattern) {
		files, err := c.source.Glob(pattern)
		slices.Sort(files)
		return files, err
	}
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		files, err := c.source.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) > 0 || dir == filepath.Dir(dir) {
			slices.Sort(files)
			return files, err
		}
	}
}

func markIncluded(list []*directive) {
	for _, d := range list {
		d.included = true
		markIncluded(d.block)
	}
}
