package cgi

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Script is which file a request runs, in the terms of RFC 3875.
type Script struct {
	root     string // DOCUMENT_ROOT
	name     string // SCRIPT_NAME: with a leading slash
	Filename string // SCRIPT_FILENAME
	info     string // PATH_INFO
	uri      string // DOCUMENT_URI
}

// FindScript says which script a request is for, and refuses what must never
// reach PHP: an unclean or ambiguous path, and whatever is not an existing
// regular file with an allowed extension under the root.
//
// PHP itself is not to be trusted with that: it cuts a path at NUL and runs
// what stands before it, cgi.fix_pathinfo turns /img.jpg/x.php into img.jpg,
// and an empty SCRIPT_FILENAME ends the worker.
func (site *Site) FindScript(r *http.Request, v *State) (Script, error) {
	if strings.IndexByte(r.URL.Path, 0) >= 0 {
		return Script{}, caddyhttp.Error(http.StatusBadRequest, errors.New("NUL in the request path"))
	}
	root, err := site.root(r, v)
	if err != nil {
		return Script{}, statError(err)
	}
	// The path that the matchers judged: without it /admin.php/../../x.php
	// passes them as /x.php and runs admin.php.
	path := caddyhttp.NormalizedPath(r.URL.Path, true)
	s := Script{root: root}
	s.uri, s.info = site.splits.split(path)
	if err := site.checkEscaped(r.URL, s.uri); err != nil {
		return Script{}, err
	}
	s.name = s.uri
	if s.info == "" {
		// try_files may have cut it off already (caddy#3718).
		s.info, _ = v.Repl.GetString("http.matchers.file.remainder")
	}
	if s.name != "" && s.name[0] != '/' {
		s.name = "/" + s.name
	}
	if own, ok := site.Env["SCRIPT_FILENAME"]; ok {
		s.Filename = v.Repl.ReplaceAll(own, "")
	} else {
		// Routing has most likely looked at this very file.
		if f := v.match; f.root == root && f.relative == s.name && f.kind == file {
			s.Filename = f.absolute
			if err := site.checkName(&s); err != nil {
				return s, err
			}
			return s, site.checkTarget(&s)
		}
		s.Filename = join(root, s.name)
	}
	return s, site.checkFile(&s)
}

// checkName refuses what has not the name of a script.
func (site *Site) checkName(s *Script) error {
	if !site.splits.hasScriptExt(s.Filename) || unsafeName(s.name) || !filepath.IsAbs(s.Filename) {
		return caddyhttp.Error(http.StatusNotFound, fmt.Errorf("%s is not a PHP script", s.name))
	}
	return nil
}

// checkFile refuses what is not a regular file with an allowed extension.
func (site *Site) checkFile(s *Script) error {
	if err := site.checkName(s); err != nil {
		return err
	}
	kind, _, err := statFile(s.Filename)
	if err != nil {
		return statError(err)
	}
	if kind != file {
		return caddyhttp.Error(http.StatusNotFound, fmt.Errorf("%s is not a regular file", s.Filename))
	}
	return site.checkTarget(s)
}

// checkTarget refuses a script that symlinks lead out of the root, or to what
// is no script by its name, where that was asked for.
func (site *Site) checkTarget(s *Script) error {
	if !site.ConfineSymlinks {
		return nil
	}
	root, err := rootCache.resolve(s.root)
	if err != nil {
		return statError(err)
	}
	target, err := filepath.EvalSymlinks(s.Filename)
	if err != nil {
		return statError(err)
	}
	if !below(root, target) {
		// The root may have become a link a moment ago.
		if to, err := resolveSymlinks(s.root); err == nil {
			root = to.path
		}
	}
	if !below(root, target) || !site.splits.hasScriptExt(target) {
		return caddyhttp.Error(http.StatusNotFound,
			fmt.Errorf("%s leads to %s, which is no script below the root (confine_symlinks)", s.Filename, target))
	}
	return nil
}

func below(root, path string) bool {
	inside, err := filepath.Rel(root, path)
	return err == nil && filepath.IsLocal(inside)
}

// checkEscaped refuses a path whose escaped form, which matchers with a "%" in
// their pattern judge, names another script than the decoded one.
func (site *Site) checkEscaped(u *url.URL, uri string) error {
	if u.RawPath == "" {
		return nil
	}
	escaped, err := url.PathUnescape(caddyhttp.NormalizedPath(u.EscapedPath(), true))
	if err == nil {
		if other, _ := site.splits.split(escaped); other == uri {
			return nil
		}
	}
	return caddyhttp.Error(http.StatusBadRequest,
		errors.New("the escaped and the decoded path name different scripts"))
}

// statError turns what the file system said into what the client gets.
func statError(err error) error {
	status := http.StatusNotFound
	switch {
	case errors.Is(err, fs.ErrPermission):
		status = http.StatusForbidden
	case errors.Is(err, fs.ErrInvalid):
		status = http.StatusBadRequest
	}
	return caddyhttp.Error(status, err)
}
