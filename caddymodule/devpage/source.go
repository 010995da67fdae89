package devpage

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// sourceLine is a line of source around an error.
type sourceLine struct {
	Number int
	Text   string
	Wrong  bool // it is the line of the error
}

const (
	linesAround   = 8
	maxLineLength = 400 // bytes
)

// sourceNames are the ends of the names of files that are shown. A message can name any
// file, and a script can log any message, but Caddy may be allowed to read more than PHP.
var sourceNames = []string{".php", ".phtml", ".inc", ".php5", ".php7", ".php8", ".module", ".twig", ".tpl", ".latte"}

// readSource returns the lines around one of a file of source below a directory, and none
// if there is no such file or line. Symlinks do not lead out of the directory.
func readSource(dir, file string, line int) []sourceLine {
	if line < 1 || !hasSuffix(file, sourceNames) {
		return nil
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil
	}
	name, err := filepath.Rel(dir, file)
	if err != nil || !filepath.IsLocal(name) {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	if info, err := root.Stat(name); err != nil || !info.Mode().IsRegular() {
		return nil // such as a pipe, which would block
	}
	f, err := root.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	var lines []sourceLine
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for n := 1; n <= line+linesAround && scanner.Scan(); n++ {
		if n < line-linesAround {
			continue
		}
		text := scanner.Text()
		if len(text) > maxLineLength {
			text = strings.ToValidUTF8(text[:maxLineLength], "") + "…"
		}
		lines = append(lines, sourceLine{n, text, n == line})
	}
	if len(lines) == 0 || lines[len(lines)-1].Number < line {
		return nil
	}
	return lines
}

func hasSuffix(name string, suffixes []string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(strings.ToLower(name), suffix) {
			return true
		}
	}
	return false
}
