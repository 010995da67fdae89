package cgi

import (
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
)

// State holds the results of the php_pool handlers for a request: its root and
// the file that serves it. It is used by the request's goroutine only.
type State struct {
	// Repl is the request's replacer.
	Repl *caddy.Replacer

	// root was resolved from rootSource.
	rootSource rootSource
	root       string

	// match is the file that routing found. File serves its placeholders.
	match match
}

// NewState returns the state of a request that has not been routed yet.
func NewState(repl *caddy.Replacer) State { return State{Repl: repl} }

// Forget discards the results, so that the next handler looks at the files again.
func (s *State) Forget() {
	s.rootSource, s.root, s.match = rootSource{}, "", match{}
}

// StaticFile returns the absolute path of the file that routing found, or "" if that
// is a script or no file was found.
func (s *State) StaticFile(site *Site) string {
	if s.match.kind != regular || site.IsScript(s.match.relative) {
		return ""
	}
	return s.match.absolute
}

// setMatch records the file that routing found. Its placeholders have the names that
// Caddy's file matcher uses, which may have set them for another file: what is set in the
// replacer would be found first.
func (s *State) setMatch(m match) {
	s.match = m
	s.Repl.DeleteByPrefix("http.matchers.file.")
}

// File returns the value of the placeholder {http.matchers.file.<key>}. ok is false
// if no file was found or the key is unknown.
func (s *State) File(key string) (value any, ok bool) {
	if s.match.relative == "" {
		return nil, false
	}
	switch key {
	case "relative":
		return s.match.relative, true
	case "absolute":
		return filepath.ToSlash(s.match.absolute), true
	case "remainder":
		return s.match.info, true
	case "type":
		return "file", true
	}
	return nil, false
}
