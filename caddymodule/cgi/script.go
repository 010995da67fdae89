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

// Script is the script that a request runs, with its variables of RFC 3875.
type Script struct {
	// Filename is SCRIPT_FILENAME, the absolute path of the script.
	Filename string

	root string // DOCUMENT_ROOT
	name string // SCRIPT_NAME, with a leading slash
	info string // PATH_INFO
	uri  string // DOCUMENT_URI
}

// FindScript returns the script that a request is for. The script must be a regular
// file with an allowed extension below the root, and the path must be unambiguous.
// Otherwise the error is a [caddyhttp.HandlerError] with status 400, 403 or 404.
//
// PHP's own checks do not suffice: it runs the part of a path before a NUL byte,
// cgi.fix_pathinfo turns /img.jpg/x.php into img.jpg, and an empty SCRIPT_FILENAME
// terminates the worker.
func (site *Site) FindScript(r *http.Request, state *State) (Script, error) {
	if strings.IndexByte(r.URL.Path, 0) >= 0 {
		return Script{}, caddyhttp.Error(http.StatusBadRequest, errors.New("the request path contains a NUL byte"))
	}
	root, err := site.root(r, state)
	if err != nil {
		return Script{}, statError(err)
	}
	// Use the same path as Caddy's matchers. Otherwise /admin.php/../../x.php would
	// be matched as /x.php, but run admin.php.
	path := caddyhttp.NormalizedPath(r.URL.Path, true)
	m := state.match
	routed := m.root == root && m.relative == path // and not rewritten since
	if !routed {
		m = site.lookUpScript(roots{root, root}, path)
	}
	if m.relative == "" {
		m = match{relative: path, absolute: join(root, path)}
	}
	s := Script{Filename: m.absolute, root: root, uri: m.relative, name: m.relative, info: m.info}
	if err := checkEscaped(r.URL, s.uri); err != nil {
		return Script{}, err
	}
	if s.info == "" && !routed {
		// try_files may have removed it from the path (caddy#3718).
		s.info, _ = state.Repl.GetString("http.matchers.file.remainder")
	}
	if s.name != "" && s.name[0] != '/' {
		s.name = "/" + s.name
	}
	if filename, ok := site.Env["SCRIPT_FILENAME"]; ok {
		s.Filename = state.Repl.ReplaceAll(filename, "")
		m.kind = missing
	}
	if err := site.checkName(&s); err != nil {
		return s, err
	}
	if m.kind != regular { // unless routing has found the file already
		if err := checkFile(&s); err != nil {
			return s, err
		}
	}
	return s, site.checkTarget(&s)
}

// checkName returns an error if the name is not that of a script.
func (site *Site) checkName(s *Script) error {
	if !site.splits.hasScriptExt(s.Filename) || unsafeName(s.name) || !filepath.IsAbs(s.Filename) {
		return caddyhttp.Error(http.StatusNotFound, fmt.Errorf("%s is not a PHP script", s.name))
	}
	return nil
}

// checkFile returns an error if the script is not a regular file.
func checkFile(s *Script) error {
	kind, err := statFile(s.Filename)
	if err != nil {
		return statError(err)
	}
	if kind != regular {
		return caddyhttp.Error(http.StatusNotFound, fmt.Errorf("%s is not a regular file", s.Filename))
	}
	return nil
}

// checkTarget returns an error if ConfineSymlinks is on and a symlink leads to a file
// outside of the root, or to one without an allowed extension.
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
	if !Below(root, target) || !site.splits.hasScriptExt(target) {
		return caddyhttp.Error(http.StatusNotFound,
			fmt.Errorf("%s leads to %s, which is not a script below the root (confine_symlinks)", s.Filename, target))
	}
	return nil
}

// Below reports whether path is below the directory root. Both must be absolute.
func Below(root, path string) bool {
	relative, err := filepath.Rel(root, path)
	return err == nil && filepath.IsLocal(relative)
}

// checkEscaped returns an error if the escaped form of the path names another script
// than the decoded one. Matchers whose pattern contains "%" compare the escaped form.
func checkEscaped(u *url.URL, uri string) error {
	if u.RawPath == "" {
		return nil
	}
	escaped, err := url.PathUnescape(caddyhttp.NormalizedPath(u.EscapedPath(), true))
	if err == nil {
		if info, ok := strings.CutPrefix(escaped, uri); ok && (info == "" || info[0] == '/') {
			return nil
		}
	}
	return caddyhttp.Error(http.StatusBadRequest,
		errors.New("the escaped and the decoded path name different scripts"))
}

// statError adds the status for the client to an error of the file system.
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
