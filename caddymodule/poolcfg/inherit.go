package poolcfg

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// allVariables is the pattern of `process_env inherit`.
const allVariables = "*"

// notInherited are the variables that the pattern * does not pass, as patterns. A more
// specific pattern passes them.
var notInherited = []string{
	// of Caddy, with the tokens of the DNS provider that its documentation uses
	"CADDY_*", "ACME_*", "CF_API_*", "CLOUDFLARE_*", "XDG_*", "GOGC", "GODEBUG", "GOMAXPROCS", "GOMEMLIMIT",
	// of systemd (systemd.exec(5), "Environment Variables in Spawned Processes")
	"NOTIFY_SOCKET", "LISTEN_*", "WATCHDOG_*", "CREDENTIALS_DIRECTORY", "RUNTIME_DIRECTORY", "STATE_DIRECTORY",
	"CACHE_DIRECTORY", "LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID",
	"MANAGERPID", "PIDFILE", "FDSTORE", "MEMORY_PRESSURE_*", "SYSTEMD_*",
	// of the session that Caddy was started in
	"LOGNAME", "MAIL", "SHELL", "SHLVL", "PWD", "OLDPWD", "_", "SSH_*", "SUDO_*",
}

// ownOfPHP are variables that php-cgi has with its own values: those of its user, and
// the directory of isolate.
var ownOfPHP = []string{"HOME", "USER", "TMPDIR"}

// environment returns the variables for php-cgi: those of inherit_env from environ,
// which has the form of os.Environ, and those of process_env. Variables that
// php-cgi must not have are left out.
func (o *Options) environment(environ []string) map[string]string {
	if len(o.InheritEnv) == 0 {
		return o.ProcessEnv
	}
	env := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if o.inherits(name) && phpbin.AllowsEnv(name) && !slices.Contains(ownOfPHP, name) {
			env[name] = value
		}
	}
	maps.Copy(env, o.ProcessEnv)
	return env
}

// inherits reports whether inherit_env passes a variable of Caddy's environment.
func (o *Options) inherits(name string) bool {
	passes := false
	for _, pattern := range o.InheritEnv {
		if excluded, ok := strings.CutPrefix(pattern, "!"); ok {
			if matches(excluded, name) {
				return false
			}
			continue
		}
		isOwn := func(p string) bool { return matches(p, name) }
		if matches(pattern, name) && (pattern != allVariables || !slices.ContainsFunc(notInherited, isOwn)) {
			passes = true
		}
	}
	return passes
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}
