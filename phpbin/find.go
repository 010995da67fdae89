package phpbin

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cgiName matches the names of php-cgi: php-cgi, php-cgi8.2 (Debian, Gentoo),
// php-cgi-8.3 (OpenBSD), php-cgi83 (Alpine, MacPorts), php83-cgi (Remi).
var cgiName = regexp.MustCompile(`^php(?:-?(\d[\d.]*))?-cgi(?:-?(\d[\d.]*))?$`)

// versionedDir matches a directory that contains the version: php@8.3 (Homebrew),
// php/8.3 (Plesk), php83, ea-php83.
var versionedDir = regexp.MustCompile(`php[@/\\]?(\d\.?\d+)`)

// versionSpec matches an argument of Find that is a version: 8, 8.2 or 8.2.36.
var versionSpec = regexp.MustCompile(`^\d+(\.\d+){0,2}$`)

// candidate is a file that is named like php-cgi.
type candidate struct {
	path  string
	dir   int  // the index of its directory in the search order
	plain bool // the name has no version
	major int  // -1 if unknown
	minor int
}

// Find returns the path of a php-cgi. spec is a version ("8.2", or "8" for the newest
// 8.x), a file name, or a path; if empty, Find returns the php-cgi in PATH, or else
// the newest one. It uses file names only: call [Detect] to find out whether the file
// is php-cgi. The error is a *[NotFoundError] or describes what is wrong with the
// path.
func Find(spec string) (string, error) {
	dirs := searchDirs()
	switch {
	case spec == "":
		if list := Candidates(); len(list) > 0 {
			return list[0], nil
		}
		return "", &NotFoundError{Names: []string{"php-cgi", "php-cgi*", "php*-cgi"}, Dirs: dirs}
	case versionSpec.MatchString(spec):
		return findVersion(spec, dirs)
	case strings.ContainsRune(spec, os.PathSeparator) || strings.ContainsRune(spec, '/'):
		return findPath(spec)
	}
	for _, dir := range dirs {
		for _, name := range []string{spec, spec + exeSuffix} {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && executable(info) {
				return path, nil
			}
		}
	}
	return "", &NotFoundError{Spec: spec, Names: []string{spec}, Dirs: dirs, Installed: installed(dirs)}
}

func findPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", fmt.Errorf("php-cgi: %w", err)
	case !executable(info):
		return "", fmt.Errorf("php-cgi: %s is not an executable file", path)
	}
	return path, nil
}

// findVersion uses the file names first, and runs only those php-cgi whose names do
// not contain the version.
func findVersion(spec string, dirs []string) (string, error) {
	var unnamed []string
	for _, c := range candidates(dirs) {
		switch {
		case c.major < 0:
			unnamed = append(unnamed, c.path)
		case matchesVersion(spec, fmt.Sprintf("%d.%d", c.major, c.minor)):
			return c.path, nil
		case strings.Count(spec, ".") == 2 && strings.HasPrefix(spec, fmt.Sprintf("%d.%d.", c.major, c.minor)):
			unnamed = append(unnamed, c.path)
		}
	}
	for _, path := range unnamed {
		if text, err := queryVersion(path); err == nil && matchesVersion(spec, text) {
			return path, nil
		}
	}
	digits := strings.ReplaceAll(spec, ".", "")
	names := []string{"php-cgi" + spec, "php-cgi" + digits, "php" + digits + "-cgi", "any php-cgi that reports version " + spec}
	return "", &NotFoundError{Spec: spec, Names: names, Dirs: dirs, Installed: installed(dirs)}
}

// matchesVersion reports whether the leading numbers of version are those of spec.
func matchesVersion(spec, version string) bool {
	return version == spec || strings.HasPrefix(version, spec+".")
}

// installed returns each php-cgi of the directories, with its version.
func installed(dirs []string) []string {
	var list []string
	for _, c := range candidates(dirs) {
		if version, err := queryVersion(c.path); err == nil {
			list = append(list, c.path+" ("+version+")")
		}
	}
	return list
}

// queryVersion runs php-cgi -v without any ini file, which takes about 12 ms.
func queryVersion(path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-n", "-v")
	cmd.Env = Options{}.Environ()
	cmd.WaitDelay = time.Second
	output, err := cmd.Output()
	if err != nil {
		return "", err
	}
	_, text, sapi, ok := parseVersion(string(output))
	if !ok || sapi != cgiSAPI {
		return "", fmt.Errorf("%s is not php-cgi", path)
	}
	return text, nil
}

// Candidates returns every php-cgi on this machine, by file name: those without a
// version in the order of PATH, then the others, the newest first.
func Candidates() []string {
	var paths []string
	for _, c := range candidates(searchDirs()) {
		paths = append(paths, c.path)
	}
	return paths
}

func candidates(dirs []string) []candidate {
	var list []candidate
	for i, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // PATH may contain directories that do not exist
		}
		for _, entry := range entries {
			c, ok := parseName(filepath.Join(dir, entry.Name()))
			if !ok {
				continue
			}
			if info, err := os.Stat(c.path); err == nil && executable(info) {
				c.dir = i
				list = append(list, c)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int {
		switch {
		case a.plain && b.plain:
			return cmp.Compare(a.dir, b.dir)
		case a.plain:
			return -1
		case b.plain:
			return 1
		}
		return cmp.Or(cmp.Compare(b.major, a.major), cmp.Compare(b.minor, a.minor), cmp.Compare(a.dir, b.dir))
	})
	return withoutLinks(list)
}

// withoutLinks keeps the first of candidates that are the same file, as php-cgi and
// php-cgi8.2 in /usr/bin are, with the version from the name of any of them.
func withoutLinks(list []candidate) []candidate {
	first := map[string]int{}
	var kept []candidate
	for _, c := range list {
		target, err := filepath.EvalSymlinks(c.path)
		if err != nil {
			target = c.path
		}
		if i, ok := first[target]; ok {
			if kept[i].major < 0 {
				kept[i].major, kept[i].minor = c.major, c.minor
			}
			continue
		}
		first[target] = len(kept)
		kept = append(kept, c)
	}
	return kept
}

// parseName parses the path of a php-cgi.
func parseName(path string) (candidate, bool) {
	m := cgiName.FindStringSubmatch(strings.TrimSuffix(filepath.Base(path), exeSuffix))
	if m == nil {
		return candidate{}, false
	}
	digits := m[1] + m[2]
	c := candidate{path: path, plain: digits == "", major: -1, minor: -1}
	if c.plain {
		if d := versionedDir.FindAllStringSubmatch(filepath.Dir(path), -1); d != nil {
			digits = d[len(d)-1][1]
		}
	}
	if digits != "" {
		major, minor, ok := strings.Cut(digits, ".")
		if !ok { // "83": PHP's major versions have one digit
			major, minor = digits[:1], digits[1:]
		}
		minor, _, _ = strings.Cut(minor, ".")
		c.major, _ = strconv.Atoi(major)
		if n, err := strconv.Atoi(minor); err == nil {
			c.minor = n
		}
	}
	return c, true
}

// searchDirs lists the directories of PATH, then those of usualDirs that exist.
// Relative ones are omitted: they depend on the working directory.
func searchDirs() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range usualDirs {
		if matches, err := filepath.Glob(pattern); err == nil {
			slices.Sort(matches)
			slices.Reverse(matches)
			dirs = append(dirs, matches...)
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(dirs, func(dir string) bool {
		again := seen[dir] || !filepath.IsAbs(dir)
		seen[dir] = true
		return again
	})
}
