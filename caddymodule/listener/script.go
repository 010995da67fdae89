package listener

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// findScript finds the script, and changes the variables as php-fpm does
// (init_request_info in sapi/fpm/fpm/fpm_main.c). It returns false if the request has
// been answered.
func (x *request) findScript() bool {
	x.found = time.Now()
	path, exists, ok := x.locate()
	if !ok {
		x.in.WriteStderr([]byte("Primary script unknown")) //nolint:errcheck // End returns it
		x.respond(http.StatusNotFound, "File not found.\n")
		return false
	}
	if !x.l.allowsExtension(path) {
		x.in.WriteStderr([]byte("Access to the script '" + path + "' has been denied (see security.limit_extensions)")) //nolint:errcheck // End returns it
		x.respond(http.StatusForbidden, phpbin.AccessDenied)
		return false
	}
	if !exists && !mayExist(path) {
		x.in.WriteStderr([]byte("Unable to open primary script: " + path + " (No such file or directory)")) //nolint:errcheck // End returns it
		x.respond(http.StatusNotFound, phpbin.NoInputFile)
		return false
	}
	if x.l.Root != "" && !isWithin(path, x.l.Root) {
		x.in.WriteStderr([]byte("Access to the script '" + path + "' has been denied: it is outside of root " + x.l.Root)) //nolint:errcheck // End returns it
		x.respond(http.StatusForbidden, phpbin.AccessDenied)
		return false
	}
	if err := x.l.pool.CheckAdminINI(x.params.get(scriptFilename)); err != nil {
		x.fail(http.StatusInternalServerError, err)
		return false
	}
	return true
}

// isWithin reports whether a file is in a directory after symlinks in both are resolved.
func isWithin(file, dir string) bool {
	file, err := filepath.EvalSymlinks(file)
	if err != nil {
		return false
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return false
	}
	return strings.HasPrefix(file, strings.TrimSuffix(dir, "/")+"/")
}

// allowsExtension reports whether the name of a file ends with one of the extensions.
func (l *Listener) allowsExtension(path string) bool {
	for _, extension := range l.Extensions {
		if extension == anyExtension || len(path) > len(extension) && strings.HasSuffix(path, extension) {
			return true
		}
	}
	return false
}

// The beginnings of what Apache httpd sends as SCRIPT_FILENAME: a URL of mod_proxy.
var apachePrefixes = []string{"proxy:fcgi://", "proxy:balancer://"}

// locate returns the path of the script, and whether it was found there. ok is false
// without a script.
func (x *request) locate() (path string, exists, ok bool) {
	p, php := &x.params, x.l.php()
	apache := false
	for _, prefix := range apachePrefixes {
		file := p.get(scriptFilename)
		if len(file) < len(prefix) || !strings.EqualFold(file[:len(prefix)], prefix) {
			continue
		}
		if i := strings.IndexByte(file[len(prefix):], '/'); i >= 0 {
			file, apache = file[len(prefix)+i:], true
		}
		file, _, _ = strings.Cut(file, "?")
		if apache && php.decodesPath {
			file = rawURLDecode(file)
		}
		p.set(scriptFilename, file)
	}
	file := p.get(scriptFilename)
	switch {
	case p.has(scriptFilename):
	case p.has(pathTranslated):
		file = p.get(pathTranslated)
	default:
		return "", false, false
	}
	x.fixIIS()
	if !php.fixPathInfo {
		if p.has(pathTranslated) && !php.discardPath {
			file = p.get(pathTranslated)
			p.set(scriptFilename, file) // php-cgi discards the other one
		}
		return file, false, isValidPath(file)
	}
	s := scriptSearch{params: p, apache: apache, file: file}
	path, ok = s.find()
	return path, s.exists, ok && isValidPath(path)
}

// fixIIS corrects the PATH_INFO of Microsoft IIS, which begins with SCRIPT_NAME.
func (x *request) fixIIS() {
	p := &x.params
	if !p.has(scriptName) || !p.has(pathInfo) || !strings.HasPrefix(p.get(serverSoftware), "Microsoft-IIS") {
		return
	}
	info, ok := strings.CutPrefix(p.get(pathInfo), p.get(scriptName))
	if !ok {
		return
	}
	p.set(origPathInfo, p.get(pathInfo))
	if info == "" {
		p.remove(pathInfo)
		return
	}
	p.set(pathInfo, info)
}

// isValidPath reports whether no component of a path is "..".
func isValidPath(path string) bool {
	if !strings.Contains(path, "..") {
		return true
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == ".." {
			return false
		}
	}
	return true
}

// scriptSearch finds the script in a path that PATH_INFO may follow. The comments
// name the values before the search by their variables.
type scriptSearch struct {
	*params
	apache bool
	file   string // the path

	exists     bool // the script was found, or must be left to PHP to find
	redirected bool // SCRIPT_NAME is that of an action of Apache httpd
}

func (s *scriptSearch) find() (string, bool) {
	name, hasName := s.get(scriptName), s.has(scriptName)
	if !s.apache && s.has(pathTranslated) && s.has(redirectURL) && s.get(pathTranslated) != s.file {
		// The action of Apache httpd: SCRIPT_FILENAME is php-cgi.
		s.file, s.redirected = s.get(pathTranslated), true
		name, hasName = s.get(redirectURL), true
	}
	if s.file == "" {
		return "", true // has no extension
	}
	if !strings.HasSuffix(s.file, "/") && mayExist(s.file) {
		s.exists = true
		s.whole()
		return s.file, true
	}
	for path := s.file; ; {
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			i = strings.LastIndexByte(path, '\\')
		}
		if i < 0 {
			return "", false
		}
		if path = path[:i]; isRegular(path) {
			found := path
			s.exists = true
			if s.get(scriptFilename) == path && s.has(scriptFilename) {
				found, s.exists = s.file, false // php-fpm rejects this path, though PATH_INFO follows a script
			}
			s.split(path, name, hasName)
			return found, true
		}
	}
}

// whole is called if the whole path exists.
func (s *scriptSearch) whole() {
	s.keep(scriptFilename, origScriptFilename, s.file)
	if !s.apache && s.has(redirectURL) {
		if s.has(pathInfo) {
			s.set(origPathInfo, s.get(pathInfo))
			s.remove(pathInfo)
		}
		if s.has(pathTranslated) {
			s.set(origPathTranslated, s.get(pathTranslated))
			s.remove(pathTranslated)
		}
	}
	if s.redirected {
		if s.has(scriptName) {
			s.set(origScriptName, s.get(scriptName))
		}
		s.set(scriptName, s.get(redirectURL))
	}
	s.hideRedirect()
}

// keep sets a variable, and keeps a previous value under another name.
func (s *scriptSearch) keep(v, orig variable, text string) {
	if s.has(v) && s.get(v) == text {
		return
	}
	if s.has(v) {
		s.set(orig, s.get(v))
	}
	s.set(v, text)
}

// split is called if the script is at path, and PATH_INFO follows it.
func (s *scriptSearch) split(path, name string, hasName bool) {
	rest := s.file[len(path):]
	info, hasInfo := s.get(pathInfo), s.has(pathInfo)
	named := false // SCRIPT_NAME has been set
	if s.apache {
		if named = s.splitApache(rest); named && !hasInfo {
			name = s.get(scriptName)
		}
	} else if hasInfo && len(info) > len(rest) {
		before := info[:len(info)-len(rest)]
		s.set(origPathInfo, info)
		s.keep(scriptName, origScriptName, before)
		s.set(pathInfo, info[len(before):])
		named = true
	}
	original := s.has(pathTranslated)
	translated := s.get(pathTranslated)
	s.keep(scriptFilename, origScriptFilename, path)
	target := ""
	switch {
	case s.has(documentRoot):
		target = strings.TrimSuffix(s.get(documentRoot), "/") + s.get(pathInfo)
	case hasName && strings.Contains(path, name):
		target = path[:len(path)-len(name)] + s.get(pathInfo)
	}
	if s.has(documentRoot) || hasName && strings.Contains(path, name) {
		if original {
			s.set(origPathTranslated, translated)
		}
		s.set(pathTranslated, target)
	}
	if !named && hasName {
		s.keep(scriptName, origScriptName, name)
	}
	s.hideRedirect()
}

// splitApache sets PATH_INFO, which Apache httpd does not send, and removes it from
// SCRIPT_NAME. It reports whether SCRIPT_NAME has been set.
func (s *scriptSearch) splitApache(rest string) bool {
	info, hasInfo := s.get(pathInfo), s.has(pathInfo)
	if hasInfo && info == rest {
		return false
	}
	named := false
	if hasInfo {
		s.set(origPathInfo, info)
		s.keep(scriptName, origScriptName, info)
		named = true
		s.set(pathInfo, rest)
		return named
	}
	if s.has(scriptName) {
		decoded := rawURLDecode(rest)
		name := s.get(scriptName)
		for _, end := range []string{rest, decoded} {
			if cut, ok := strings.CutSuffix(name, end); ok && cut != "" {
				s.keep(scriptName, origScriptName, cut)
				named = true
				break
			}
		}
	}
	s.set(pathInfo, rest)
	return named
}

// hideRedirect keeps php-cgi from applying to REDIRECT_URL what has been applied here:
// it would run another script, or remove PATH_INFO. PHP ignores the space at the
// beginning of the name of a variable, and php-cgi does not look for that name.
func (s *scriptSearch) hideRedirect() {
	s.redirectHidden = s.has(redirectURL) && (s.has(pathInfo) || s.has(pathTranslated))
}

// rawURLDecode decodes %XX, and leaves everything else alone.
func rawURLDecode(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	if decoded, err := url.PathUnescape(text); err == nil {
		return decoded
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if decoded, err := url.PathUnescape(text[i : i+3]); err == nil {
				out.WriteString(decoded)
				i += 2
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

// mayExist reports whether there is a file at path. One that Caddy must not see is for
// PHP to look for: it may have other rights.
func mayExist(path string) bool {
	_, err := stat(path)
	return err == nil || errors.Is(err, fs.ErrPermission)
}

func isRegular(path string) bool {
	mode, err := stat(path)
	return err == nil && mode.IsRegular()
}
