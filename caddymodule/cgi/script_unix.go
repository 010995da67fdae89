//go:build unix

package cgi

// unsafeName reports whether the system would open another file than the name says;
// only Windows does.
func unsafeName(string) bool { return false }
