package poolcfg

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// defaultWatch is the pattern of FrankenPHP's `watch` without a value.
const defaultWatch = "**/*.{env,php,twig,yaml,yml}"

// watchPattern is a pattern of files, as in FrankenPHP (internal/watcher/pattern.go):
// `**` is any number of directories, `{a,b}` one of several texts, and the rest is that
// of [path.Match]. A directory is all files in and below it.
type watchPattern struct {
	dir string // absolute
	// alternatives are the patterns below dir, split at slashes.
	alternatives [][]string
}

// absoluteWatch returns a pattern of the option watch as an absolute one. The default
// pattern is for the project of the script.
func absoluteWatch(pattern, script string) (string, error) {
	if pattern == "" {
		return projectDir(script) + string(filepath.Separator) + filepath.FromSlash(defaultWatch), nil
	}
	pattern, err := Expand("watch", pattern)
	if err != nil {
		return "", err
	}
	return caddy.FastAbs(pattern)
}

// projectDir returns the nearest directory above a script with a composer.json, else
// that of the script.
func projectDir(script string) string {
	own := filepath.Dir(script)
	for dir := own; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(filepath.Join(dir, "composer.json")); err == nil && info.Mode().IsRegular() {
			return dir
		}
		if filepath.Dir(dir) == dir {
			return own
		}
	}
}

// parseWatch parses an absolute pattern. The error has the pattern and the remedy.
func parseWatch(pattern string) (watchPattern, error) {
	parts := strings.Split(strings.TrimRight(filepath.ToSlash(pattern), "/"), "/")
	n := len(parts)
	for i, part := range parts {
		if strings.ContainsAny(part, "*?[{") || i == len(parts)-1 && strings.Contains(part, ".") {
			n = i
			break
		}
	}
	dir := strings.Join(parts[:n], "/")
	if dir == "" || strings.HasSuffix(dir, ":") {
		dir += "/"
	}
	w := watchPattern{dir: filepath.FromSlash(dir)}
	for _, rest := range expandBraces(strings.Join(parts[n:], "/")) {
		var segments []string
		for segment := range strings.SplitSeq(rest, "/") {
			after, ok := strings.CutPrefix(segment, "**")
			if ok {
				segments = append(segments, "**")
				if segment = "*" + after; after == "" {
					continue
				}
			}
			if _, err := path.Match(segment, ""); err != nil {
				return watchPattern{}, fmt.Errorf("watch %s is not a pattern: write one such as /app/**/*.php", pattern)
			}
			if segment != "" {
				segments = append(segments, segment)
			}
		}
		if len(segments) == 0 || segments[len(segments)-1] == "**" {
			segments = append(segments, "**", "*")
		}
		w.alternatives = append(w.alternatives, segments)
	}
	return w, nil
}

// expandBraces returns the patterns that a pattern with `{a,b}` stands for.
func expandBraces(s string) []string {
	before, rest, found := strings.Cut(s, "{")
	inside, after, closed := strings.Cut(rest, "}")
	if !found || !closed {
		return []string{s}
	}
	var all []string
	for one := range strings.SplitSeq(inside, ",") {
		all = append(all, expandBraces(before+one+after)...)
	}
	return all
}

// matches reports whether the pattern is for a file, whose path is relative to dir.
func (w *watchPattern) matches(relative string) bool {
	parts := strings.Split(filepath.ToSlash(relative), "/")
	return slices.ContainsFunc(w.alternatives, func(segments []string) bool { return matchSegments(segments, parts) })
}

func matchSegments(segments, parts []string) bool {
	for i, segment := range segments {
		if segment == "**" {
			for skip := range len(parts) + 1 {
				if matchSegments(segments[i+1:], parts[skip:]) {
					return true
				}
			}
			return false
		}
		if i >= len(parts) {
			return false
		}
		if ok, _ := path.Match(segment, parts[i]); !ok {
			return false
		}
	}
	return len(parts) == len(segments)
}

// WatchedFile changes when a file is written.
type WatchedFile struct{ ModTime, Size int64 }

// WatchedFiles returns the state of each file that one of the patterns is for. They
// must be absolute and valid. Files and directories that cannot be read are left out.
func WatchedFiles(patterns []string) map[string]WatchedFile {
	files := map[string]WatchedFile{}
	for _, pattern := range patterns {
		w, err := parseWatch(pattern)
		if err != nil {
			continue // prepareWorker has checked it
		}
		dir := w.dir
		if resolved, err := filepath.EvalSymlinks(dir); err == nil {
			dir = resolved
		}
		_ = filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error { // the function returns no error
			if err != nil || entry.IsDir() {
				return nil
			}
			relative, err := filepath.Rel(dir, file)
			if err != nil || !w.matches(relative) {
				return nil
			}
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
				files[file] = WatchedFile{info.ModTime().UnixNano(), info.Size()}
			}
			return nil
		})
	}
	return files
}
