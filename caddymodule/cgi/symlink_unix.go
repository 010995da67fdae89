//go:build unix

package cgi

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// maxSymlinks is the number of symlinks that are followed in one path, as in
// [filepath.EvalSymlinks].
const maxSymlinks = 255

// resolveSymlinks is [filepath.EvalSymlinks] for an absolute path. It also returns
// what the result depends on.
func resolveSymlinks(absolute string) (*resolvedPath, error) {
	p := &resolvedPath{}
	var above []string // the directories of the links
	done, rest := "/", absolute
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		next := path.Join(done, name) // done has no symlinks, so this is right for .. too
		if next == done || name == ".." {
			done = next
			continue
		}
		target, err := os.Readlink(next)
		if errors.Is(err, unix.EINVAL) { // not a symlink
			done = next
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(p.links) == maxSymlinks {
			return nil, &fs.PathError{Op: "readlink", Path: absolute, Err: unix.ELOOP}
		}
		p.links = append(p.links, symlink{next, target})
		above = append(above, done)
		rest = target + "/" + rest
		if path.IsAbs(target) {
			done = "/"
		}
	}
	p.path, p.dirs = done, []string{done}
	for _, dir := range above {
		if !isAbove(dir, done) {
			p.dirs = append(p.dirs, dir)
		}
	}
	return p, nil
}

// isAbove reports whether a clean path is dir or is below it.
func isAbove(dir, clean string) bool {
	return dir == "/" || strings.HasPrefix(clean, dir) && (len(clean) == len(dir) || clean[len(dir)] == '/')
}

// valid reports whether resolving the path again would give the same result.
func (p *resolvedPath) valid() bool {
	for i := range p.links {
		if !p.links[i].unchanged() {
			return false
		}
	}
	for _, dir := range p.dirs {
		if !isPlainDir(dir) {
			return false
		}
	}
	return true
}

func (l *symlink) unchanged() bool {
	var buf [256]byte
	n, err := unix.Readlink(l.path, buf[:])
	return err == nil && n < len(buf) && string(buf[:n]) == l.target
}

// lstatEach reports whether a clean path is a directory and no component of it is a
// symlink. It calls lstat for each component.
func lstatEach(dir string) bool {
	var st unix.Stat_t
	for i := 1; i <= len(dir); i++ {
		if i < len(dir) && dir[i] != '/' {
			continue
		}
		if unix.Lstat(dir[:i], &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return false
		}
	}
	return true
}
