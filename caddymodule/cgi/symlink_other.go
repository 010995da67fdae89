//go:build unix && !linux

package cgi

// isPlainDir reports whether a clean path is a directory and no component of it is a
// symlink.
func isPlainDir(dir string) bool { return lstatEach(dir) }
