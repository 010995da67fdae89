package cgi

import (
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
)

// State is what is known about the file that serves a request, while the request
// passes php_pool handlers. It belongs to the request's goroutine.
type State struct {
	Repl *caddy.Replacer

	// root is the resolved root, rootSource what it was resolved from.
	rootSource rootSource
	root       string

	// match is the file that routing found. Its placeholders are not looked up in
	// match while hidden is set, and are set explicitly where shadowed is set,
	// because an earlier handler has set them.
	match            match
	hidden, shadowed bool
}

// NewState returns the state of a request that has not been routed yet.
func NewState(repl *caddy.Replacer) State { return State{Repl: repl} }

// match is a file that routing found below the root.
type match struct {
	root, relative, absolute string

	info string // what follows it in the request's path
	kind kind
}

func (f *match) isFile() bool { return f.kind == file || f.kind == special }

// setMatch notes the file that routing has found. Its placeholders are those of
// Caddy's file matcher, which may have set them for another file.
func (s *State) setMatch(f match) {
	s.match = f
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

// File is the value of {http.matchers.file.*}.
func (s *State) File(key string) (any, bool) {
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
