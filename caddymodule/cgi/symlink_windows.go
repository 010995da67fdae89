package cgi

import (
	"os"
	"path/filepath"
)

// resolveSymlinks is [filepath.EvalSymlinks]. It also returns what the result depends
// on.
func resolveSymlinks(absolute string) (*resolvedPath, error) {
	resolved, err := filepath.EvalSymlinks(absolute)
	if err != nil {
		return nil, err
	}
	return &resolvedPath{path: resolved, dirs: []string{absolute}}, nil
}

// valid reports whether resolving the path again would give the same result. It is
// false for a path with a symlink or a junction.
func (p *resolvedPath) valid() bool {
	for _, dir := range p.dirs {
		for parent := filepath.Dir(dir); ; dir, parent = parent, filepath.Dir(parent) {
			info, err := os.Lstat(dir)
			if err != nil || !info.IsDir() || info.Mode()&(os.ModeSymlink|os.ModeIrregular) != 0 {
				return false
			}
			if dir == parent {
				break
			}
		}
	}
	return true
}
