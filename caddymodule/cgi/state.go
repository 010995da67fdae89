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

	// match is the file that routing found. File serves its placeholders, except
	// while hidden is true. If shadowed is true, an earlier handler has set them in
	// the replacer, so they must be set there again.
	match            match
	hidden, shadowed bool
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
// Caddy's file matcher uses, which may have set them for another file.
func (s *State) setMatch(m match) {
	s.match = m
	if !s.shadowed {
		s.hidden = true
		_, s.shadowed = s.Repl.Get("http.matchers.file.relative")
		s.hidden = false
	}
	if s.shadowed {
		for _, key := range []string{"relative", "absolute", "remainder", "type"} {
			value, _ := s.File(key)
			s.Repl.Set("http.matchers.file."+key, value)
		}
	}
}

// File returns the value of the placeholder {http.matchers.file.<key>}. ok is false
// if no file was found or the key is unknown.
func (s *State) File(key string) (value any, ok bool) {
	if s.match.relative == "" || s.hidden {
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
