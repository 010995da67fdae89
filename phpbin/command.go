package phpbin

import (
	"fmt"
	"maps"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Args returns the command-line arguments of php-cgi, without the program.
func (o Options) Args() []string {
	var args []string
	if o.INIFile != "" {
		args = append(args, "-c", o.INIFile)
	}
	for _, s := range o.INI {
		args = append(args, "-d", s.Name+"="+quoteINI(s.Value))
	}
	if len(o.AdminINI) > 0 {
		args = append(args, "-d", o.adminArg())
	}
	return args
}

// bareINI matches values that need no quotes. Those include "on", "none" and
// "null", which have their meaning only without quotes.
var bareINI = regexp.MustCompile(`^[A-Za-z0-9_.,:/@%+-]*$`)

// expressionINI matches expressions of constants, such as "E_ALL & ~E_NOTICE",
// which would be 0 in quotes.
var expressionINI = regexp.MustCompile(`^[ ()|&^~!0-9]*E_[A-Z_]+[ ()|&^~!0-9A-Z_]*$`)

// quoteINI quotes value for PHP's ini parser (Zend/zend_ini_scanner.l). Nothing is
// special within single quotes, not even ${NAME}. A single quote itself is
// written as in a shell, since adjacent strings are concatenated.
//
// php-cgi adds double quotes to a value that begins with neither a letter, a
// digit nor a quote (sapi/cgi/cgi_main.c, case 'd'), which would turn an
// expression into a string: hence the prefix 0|.
func quoteINI(value string) string {
	switch {
	case bareINI.MatchString(value):
		return value
	case expressionINI.MatchString(value):
		if strings.IndexAny(value, "E0123456789") == 0 {
			return value
		}
		return "0|" + value
	}
	var b strings.Builder
	for i, part := range strings.Split(value, "'") {
		if i > 0 {
			b.WriteString(`"'"`)
		}
		if part != "" {
			b.WriteString("'" + part + "'")
		}
	}
	return b.String()
}

// reservedEnv lists variables that would make php-cgi behave as a CGI program of a
// web server (sapi/cgi/cgi_main.c: it then refuses to start, or reads its options
// from the query, CVE-2012-1823), that scripts would mistake for a header of the
// request (httpoxy), or that this package sets itself.
var reservedEnv = []string{
	"FCGI_WEB_SERVER_ADDRS", "GATEWAY_INTERFACE", "HTTP_PROXY", "ORIG_SCRIPT_FILENAME", "PATH_INFO",
	"PATH_TRANSLATED", "PHP_FCGI_BACKLOG", "PHP_FCGI_CHILDREN", "PHP_FCGI_MAX_REQUESTS", "QUERY_STRING",
	"REDIRECT_STATUS", "REDIRECT_URL", "REQUEST_METHOD", "SCRIPT_FILENAME", "SCRIPT_NAME", "SERVER_NAME",
	"SERVER_SOFTWARE",
}

func validateEnv(name, value string) error {
	switch {
	case name == "" || strings.ContainsAny(name, "=\x00"):
		return fmt.Errorf("invalid environment variable name %q", name)
	case strings.ContainsRune(value, 0):
		return fmt.Errorf("the value of the environment variable %s contains a NUL byte", name)
	case name == "PHP_INI_SCAN_DIR":
		return fmt.Errorf("environment variable %s is not allowed: set the ini scan directory instead", name)
	case slices.Contains(reservedEnv, strings.ToUpper(name)):
		return fmt.Errorf("environment variable %s is not allowed: it would change how php-cgi runs", name)
	}
	return nil
}

// AllowsEnv reports whether php-cgi may have a variable of this name in
// [Options.Env]: it must not change how php-cgi runs.
func AllowsEnv(name string) bool { return validateEnv(name, "") == nil }

// Environ returns the environment of php-cgi, sorted: PATH, LANG, TZ and TMPDIR of
// this process (on Windows also what programs cannot start without), HOME and USER
// of the user that php-cgi runs as, and o.Env. Scripts see nothing else of this
// process's environment.
func (o Options) Environ() []string {
	env := map[string]string{}
	for _, name := range baseEnv {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	if c := o.Credential; c != nil {
		delete(env, "HOME")
		delete(env, "USER")
		if u, err := user.LookupId(strconv.FormatUint(uint64(c.UID), 10)); err == nil {
			env["HOME"], env["USER"] = u.HomeDir, u.Username
		}
	}
	maps.Copy(env, o.Env)
	if o.INIScanDir != nil {
		env["PHP_INI_SCAN_DIR"] = *o.INIScanDir
	}
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// serveEnviron returns Environ with the variables for serving FastCGI. If children
// is 0, php-cgi forks none and serves itself. The number of requests is not
// limited, because a child that exits by itself loses the request that is on its
// way to it.
func (o Options) serveEnviron(children int) []string {
	env := append(o.Environ(), "PHP_FCGI_MAX_REQUESTS=0")
	if children > 0 {
		env = append(env, "PHP_FCGI_CHILDREN="+strconv.Itoa(children))
	}
	return env
}
