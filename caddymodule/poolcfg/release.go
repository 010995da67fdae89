package poolcfg

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// InRelease returns a copy of the options for processes of a release to which the link of
// the sites does not lead yet: path returns a path in the release for one that leads
// through the link, and other paths as they are.
func (o *Options) InRelease(path func(string) string) *Options {
	own := *o
	own.release = path
	return &own
}

// inRelease returns the path in the release, see InRelease.
func (o *Options) inRelease(path string) string {
	if o.release == nil || path == "" {
		return path
	}
	return o.release(path)
}

// releaseINI returns ini settings for the release: PHP reads the files of some when it
// starts, or before each script, and open_basedir has to allow the release, because PHP
// resolves the link in it for each file.
func (o *Options) releaseINI(values map[string]string) map[string]string {
	if o.release == nil {
		return values
	}
	own := maps.Clone(values)
	for _, name := range []string{"opcache.preload", "auto_prepend_file", "auto_append_file"} {
		if file, ok := own[name]; ok && filepath.IsAbs(file) {
			own[name] = o.inRelease(file)
		}
	}
	if allowed, ok := own["open_basedir"]; ok {
		for _, dir := range filepath.SplitList(allowed) {
			if mapped := o.inRelease(dir); filepath.IsAbs(dir) && mapped != dir && !slices.Contains(filepath.SplitList(allowed), mapped) {
				own["open_basedir"] += string(os.PathListSeparator) + mapped
			}
		}
	}
	return own
}
