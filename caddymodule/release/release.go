// Package release lets single requests see another directory in place of a symlink: those
// that warm up a release while the link leads visitors to the one before.
package release

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// Release is a directory in place of a symlink. Both paths are absolute, and only the last
// element of Link may be a symlink; see [Canonical]. It belongs to one request at a time.
type Release struct {
	Link, Dir string

	used  bool
	roots []string
}

type key struct{}

// active counts the contexts of With that are not done, so that other requests pay one
// atomic load.
var active atomic.Int32

// With returns a context whose request sees the release. Call done when it has ended.
func With(ctx context.Context, r *Release) (_ context.Context, done func()) {
	active.Add(1)
	return context.WithValue(ctx, key{}, r), func() { active.Add(-1) }
}

// From returns the release of a request, nil if it has none.
func From(ctx context.Context) *Release {
	if active.Load() == 0 {
		return nil
	}
	r, _ := ctx.Value(key{}).(*Release)
	return r
}

// Root is Path for the root of a site, which it remembers for Used and Roots.
func (r *Release) Root(path string) string {
	r.roots = append(r.roots, path)
	mapped := r.Path(path)
	r.used = r.used || mapped != path
	return mapped
}

// Used reports whether a root led through the link.
func (r *Release) Used() bool { return r.used }

// Roots returns the roots that were asked for.
func (r *Release) Roots() []string { return r.roots }

// Path returns the path in the release if it leads through the link, and otherwise the
// path as it is.
func (r *Release) Path(path string) string {
	if r.Link == "" || path == "" {
		return path
	}
	mapped := path
	walk(path, func(link, rest string) bool {
		if link != r.Link {
			return true
		}
		mapped = filepath.Join(r.Dir, rest)
		return false
	})
	return mapped
}

// Links returns the symlinks that a path leads through, in their order.
func Links(path string) []string {
	var list []string
	walk(path, func(link, _ string) bool {
		list = append(list, link)
		return true
	})
	return list
}

// Canonical returns the path of a symlink, or of one that is still missing, without other
// symlinks.
func Canonical(link string) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(link))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(link)), nil
}

// maxLinks is the number of symlinks that are followed, as in [filepath.EvalSymlinks].
const maxLinks = 255

// walk calls f with each symlink that the path leads through, and what follows it in the
// path, until f returns false. A link that does not exist yet counts too, as the last one:
// it may be that of a first release.
func walk(path string, f func(link, rest string) bool) {
	rest, err := filepath.Abs(path)
	if err != nil {
		return
	}
	volume := filepath.VolumeName(rest) + string(filepath.Separator)
	done := volume
	rest = rest[len(volume):]
	for links := 0; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, string(filepath.Separator))
		next := filepath.Join(done, name) // right for .. too, because done has no symlinks
		target, err := os.Readlink(next)
		missing := errors.Is(err, os.ErrNotExist)
		if err != nil && !missing {
			done = next // not a symlink
			continue
		}
		if links++; links > maxLinks || !f(next, rest) || missing {
			return
		}
		if filepath.IsAbs(target) {
			volume = filepath.VolumeName(target) + string(filepath.Separator)
			done, target = volume, target[len(volume):]
		}
		rest = target + string(filepath.Separator) + rest
	}
}
