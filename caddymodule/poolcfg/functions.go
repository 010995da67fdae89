package poolcfg

import (
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mevdschee/caddy-php-pool/phpbin"
	phpruntime "github.com/mevdschee/caddy-php-pool/phpbin/runtime"
)

// SignalMark begins the signals of the functions in phpbin/runtime (see
// fastcgi.Request.SignalMark). It is the same for all pools, so that it stays over
// reloads. Who knows it can end the responses in which PHP logs text of theirs, and
// change nothing else.
var SignalMark = "php_pool:" + rand.Text()

// Functions says which functions are defined for scripts that php-cgi lacks, and
// how: fastcgi_finish_request and headers_send.
type Functions struct {
	// The names of the functions.
	Names []string `json:"names,omitempty"`
	// The directive that loads them: opcache.preload, which costs nothing, or
	// auto_prepend_file, which takes some 15 microseconds of each request.
	Directive string `json:"directive,omitempty"`
	// Why they are not defined, or not by opcache.preload.
	Reason string `json:"reason,omitempty"`
}

// prepareFunctions chooses how the functions are loaded that php-cgi lacks. The
// binary must have been detected.
func (p *Plan) prepareFunctions() {
	if !valueOr(p.Options.FinishRequest, true) {
		p.Functions.Reason = "finish_request is off"
		return
	}
	if on, ok := p.Binary.Setting("fastcgi.logging"); ok && on != "On" && on != "1" {
		p.Functions.Reason = "fastcgi.logging is off, so that PHP cannot tell Caddy when a response is complete: write `ini fastcgi.logging 1`"
		return
	}
	disabled, _ := p.Binary.Setting("disable_functions")
	source := phpruntime.Functions{Mark: SignalMark, Disabled: functionNames(disabled)}
	preload, reason := p.preloadScript()
	if reason == "" {
		source.Preload = preload
		p.Functions.Directive = phpbin.Preload
	} else {
		p.Functions.Reason = "opcache.preload cannot load them: " + reason
		if cause := p.cannotPrepend(); cause != "" {
			p.Functions.Reason += "; auto_prepend_file neither: " + cause
			return
		}
		p.Functions.Directive = phpbin.Prepend
	}
	p.Functions.Names = source.Defined()
	if len(p.Functions.Names) == 0 {
		p.Functions = Functions{Reason: "disable_functions names functions that they need"}
		return
	}
	preloadUser, _ := p.Binary.Setting("opcache.preload_user")
	p.Process.Prelude = phpbin.Prelude{Source: source.Source(), Directive: p.Functions.Directive, Public: preloadUser != ""}
}

// preloadScript returns the user's own opcache.preload. It returns a reason if
// opcache.preload cannot load the functions.
func (p *Plan) preloadScript() (script, reason string) {
	root := p.Process.Credential == nil && os.Geteuid() == 0 || p.Process.Credential != nil && p.Process.Credential.UID == 0
	preloadUser, _ := p.Binary.Setting("opcache.preload_user")
	cacheOnly, _ := p.Binary.Setting("opcache.file_cache_only")
	switch {
	case !phpbin.SupportsPreload:
		return "", "PHP has no preloading on Windows"
	case !p.Binary.Version.AtLeast(7, 4):
		return "", "PHP " + p.Binary.VersionText + " has no preloading, PHP 7.4 has"
	case !p.Binary.OPcache:
		return "", "OPcache is off: write `ini opcache.enable 1`, and install it if it is missing"
	case cacheOnly == "On" || cacheOnly == "1":
		return "", "opcache.file_cache_only is on"
	case p.hasXdebug():
		return "", "Xdebug would profile or debug the preloading"
	case root && preloadUser == "":
		return "", "PHP runs as root, and opcache.preload_user is not set"
	}
	script, err := p.configured(phpbin.Preload)
	if err != nil {
		return "", err.Error()
	}
	if strings.Contains(script, "$") {
		return "", fmt.Sprintf("the ini files set it to %s, which only PHP can expand: write `ini opcache.preload <path>`", script)
	}
	return p.Options.inRelease(script), ""
}

// hasXdebug reports whether Xdebug is loaded and not off.
func (p *Plan) hasXdebug() bool {
	mode, ok := p.Binary.Setting("xdebug.mode")
	_, isXdebug2 := p.Binary.Setting("xdebug.remote_enable")
	return ok && mode != "off" || isXdebug2
}

// cannotPrepend returns why auto_prepend_file cannot load the functions, or "".
func (p *Plan) cannotPrepend() string {
	if file, _ := p.Binary.Setting(phpbin.Prepend); file != "" {
		return "it loads " + file
	}
	if dirs, _ := p.Binary.Setting("open_basedir"); dirs != "" {
		return "open_basedir is set"
	}
	return ""
}

// configured returns the value of a directive that Detect overrides: that of the
// options, or else of the ini files.
func (p *Plan) configured(name string) (string, error) {
	for _, s := range slices.Backward(p.Process.INI) {
		if s.Name == name {
			return s.Value, nil
		}
	}
	value := ""
	for _, path := range p.Binary.INIFiles() {
		file, err := p.readINI(path)
		if err != nil {
			return "", err
		}
		for _, s := range phpbin.ParseINI(file.text) {
			if s.Name == name {
				value = s.Value
			}
		}
	}
	return value, nil
}

// functionNames splits the value of disable_functions.
func functionNames(list string) []string {
	return strings.FieldsFunc(strings.ToLower(list), func(r rune) bool { return r == ',' || r == ' ' })
}
