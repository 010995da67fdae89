//go:build unix

package cgi

// unsafeName reports whether a script's name means another file to the system
// than it says; only Windows has such names.
func unsafeName(string) bool { return false }
