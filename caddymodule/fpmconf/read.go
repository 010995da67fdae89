package fpmconf

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Setting is one line of php-fpm's configuration.
type Setting struct {
	File  string
	Line  int
	Text  string // as it was written, without blanks around it
	Name  string // in lower case
	Key   string // of php_value[key] and the like
	Value string // as php-fpm reads it, with marks for ${NAME}
	keyed bool   // whether the name has brackets, with or without a key
	err   error  // why php-fpm would not read it
}

// Pool is a pool of php-fpm: all sections of that name.
type Pool struct {
	Name     string
	Settings []Setting
}

// Config is the content of php-fpm's files.
type Config struct {
	Files  []string // in the order of reading
	Global []Setting
	Pools  []*Pool

	current *Pool // nil in [global]
	source  Source
	env     func(name string) string // nil: ${NAME} stays a mark
	prefix  string                   // of paths, or "" if it is not known
}

// Source is where the files are.
type Source interface {
	// Glob returns the names that match a pattern, as [filepath.Glob].
	Glob(pattern string) ([]string, error)
	ReadFile(name string) ([]byte, error)
}

// Disk is the Source of the command.
type Disk struct{}

// Glob implements Source, without directories.
func (Disk) Glob(pattern string) ([]string, error) {
	files, err := filepath.Glob(pattern)
	return slices.DeleteFunc(files, func(file string) bool {
		info, err := os.Stat(file)
		return err == nil && info.IsDir()
	}), err
}

// ReadFile implements Source.
func (Disk) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

// maxInclude is how deep files may include each other, as in php-fpm.
const maxInclude = 5

// Read reads the files of the patterns as php-fpm does: files that are included, and
// sections that several files have. It returns an error if a pattern matches no file,
// or a file cannot be read. A line that php-fpm would not read becomes a Setting that
// Convert reports.
func Read(source Source, patterns []string) (*Config, error) {
	c := &Config{source: source}
	return c, c.read(patterns)
}

// ReadToServe reads php-fpm.conf as php-fpm does when it starts: ${NAME} is a variable of
// env, and paths that are not absolute begin at prefix, unless that is "".
func ReadToServe(source Source, file, prefix string, env func(name string) string) (*Config, error) {
	c := &Config{source: source, env: env, prefix: prefix}
	return c, c.read([]string{file})
}

func (c *Config) read(patterns []string) error {
	for _, pattern := range patterns {
		files, err := c.glob(pattern)
		if err != nil {
			return fmt.Errorf("%s is not a pattern of files: %w", pattern, err)
		}
		if len(files) == 0 {
			return fmt.Errorf("no file matches %s: write the path of php-fpm.conf or of a pool file", pattern)
		}
		for _, file := range files {
			if slices.Contains(c.Files, file) { // php-fpm.conf has included it
				continue
			}
			c.current = nil
			if err := c.readFile(file, 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// glob is that of the C library, where [!a] is Go's [^a].
func (c *Config) glob(pattern string) ([]string, error) {
	files, err := c.source.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
	slices.Sort(files)
	return files, err
}

func (c *Config) readFile(file string, depth int) error {
	text, err := c.source.ReadFile(file)
	if err != nil {
		return err
	}
	c.Files = append(c.Files, file)
	n := 0
	for line := range strings.SplitSeq(string(text), "\n") {
		n++
		if err := c.readLine(file, n, strings.Trim(line, " \t\r"), depth); err != nil {
			return err
		}
	}
	return nil
}

// line matches the forms of a line: [section], name = value, name[key] = value.
var (
	sectionLine = regexp.MustCompile(`^\[\s*["']?([^\]"']*?)["']?\s*\]\s*(?:;.*)?$`)
	entryLine   = regexp.MustCompile(`^([^=\[;]+?)\s*(\[\s*["']?([^\]"']*)["']?\s*\])?\s*=(.*)$`)
)

// readLine reads one line, and the files that it includes.
func (c *Config) readLine(file string, n int, text string, depth int) error {
	if text == "" || text[0] == ';' {
		return nil
	}
	if m := sectionLine.FindStringSubmatch(text); m != nil && !hasControl(m[1]) {
		c.section(m[1])
		return nil
	}
	s := Setting{File: file, Line: n, Text: text}
	m := entryLine.FindStringSubmatch(text)
	if m == nil || hasControl(m[1]+m[3]) {
		s.err = fmt.Errorf("it is neither a section nor a directive with a value")
		c.add(s)
		return nil
	}
	s.Name, s.Key, s.keyed = strings.ToLower(m[1]), m[3], m[2] != ""
	s.Value, s.err = parseValue(m[4])
	if c.env != nil {
		s.Value = expand(s.Value, c.env)
	}
	if s.err == nil && s.Name == "include" && s.Key == "" {
		return c.include(s, depth)
	}
	if c.current != nil {
		s.Value = strings.ReplaceAll(s.Value, "$pool", c.current.Name)
	}
	c.add(s)
	return nil
}

func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// section makes a section the current one. Sections whose names differ only in case are
// the same.
func (c *Config) section(name string) {
	if strings.EqualFold(name, "global") {
		c.current = nil
		return
	}
	for _, p := range c.Pools {
		if strings.EqualFold(p.Name, name) {
			c.current = p
			return
		}
	}
	c.current = &Pool{Name: name}
	c.Pools = append(c.Pools, c.current)
}

func (c *Config) add(s Setting) {
	if c.current == nil {
		c.Global = append(c.Global, s)
	} else {
		c.current.Settings = append(c.current.Settings, s)
	}
}

// include reads the files of an include line. A path that is not absolute begins at the
// prefix that php-fpm was built with: the directory above the file where it matches.
func (c *Config) include(s Setting, depth int) error {
	if depth >= maxInclude {
		s.err = fmt.Errorf("php-fpm includes at most %d files in each other", maxInclude)
		c.add(s)
		return nil
	}
	files, err := c.includes(s)
	if err != nil {
		s.err = err
		c.add(s)
		return nil
	}
	for _, file := range files {
		if err := c.readFile(file, depth+1); err != nil {
			return fmt.Errorf("%s:%d: %w", s.File, s.Line, err)
		}
	}
	if len(files) == 0 {
		if s.err = fmt.Errorf("no file matches: give import the files that php-fpm includes there"); filepath.IsAbs(s.Value) {
			s.err = nil // php-fpm only warns
		}
		c.add(s)
	}
	return nil
}

// includes returns the files of an include line.
func (c *Config) includes(s Setting) ([]string, error) {
	if strings.Contains(s.Value, mark) {
		return nil, fmt.Errorf("import cannot know the environment of php-fpm: give it the files that php-fpm includes there")
	}
	if filepath.IsAbs(s.Value) {
		return c.glob(s.Value)
	}
	if c.prefix != "" {
		return c.glob(filepath.Join(c.prefix, s.Value))
	}
	for dir := filepath.Dir(s.File); ; dir = filepath.Dir(dir) {
		files, err := c.glob(filepath.Join(dir, s.Value))
		if err != nil || len(files) > 0 || dir == filepath.Dir(dir) {
			return files, err
		}
	}
}
