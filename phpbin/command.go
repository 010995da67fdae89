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

// Args returns the arguments of php-cgi that come from o, without the program
// itself.
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

// Values that php's ini parser reads as they stand. "on", "none" and "null"
// are among them and must stay bare to mean what they mean in php.ini.
var bareINI = regexp.MustCompile(`^[A-Za-z0-9_.,:/@%+-]*$`)

// Sums of constants, such as "E_ALL & ~E_NOTICE": quoted they would be 0.
var expressionINI = regexp.MustCompile(`^[ ()|&^~!0-9]*E_[A-Z_]+[ ()|&^~!0-9A-Z_]*$`)

// quoteINI makes of value what php's ini parser turns back into it
// (Zend/zend_ini_scanner.l). Nothing is special within single quotes, where
// ${NAME} stays as it is too; a single quote itself is written as in a shell,
// since adjoining strings are joined.
//
// php-cgi adds double quotes to what begins with neither a letter, a digit nor
// a quote (sapi/cgi/cgi_main.c, case 'd'), which would turn an expression into
// a string: hence the leading 0|.
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

// What would make php-cgi believe that a web server runs it as a CGI program
// (sapi/cgi/cgi_main.c: it then refuses to start, or reads its options from
// the query, CVE-2012-1823), what scripts would take for a header of the
// request (httpoxy), and what this package sets itself.
var refusedEnv = []string{
	"FCGI_WEB_SERVER_ADDRS", "GATEWAY_INTERFACE", "HTTP_PROXY", "ORIG_SCRIPT_FILENAME", "PATH_INFO",
	"PATH_TRANSLATED", "PHP_FCGI_BACKLOG", "PHP_FCGI_CHILDREN", "PHP_FCGI_MAX_REQUESTS", "QUERY_STRING",
	"REDIRECT_STATUS", "REDIRECT_URL", "REQUEST_METHOD", "SCRIPT_FILENAME", "SCRIPT_NAME", "SERVER_NAME",
	"SERVER_SOFTWARE",
}

func validateEnv(name, value string) error {
	switch {
	case name == "" || strings.ContainsAny(name, "=\x00"):
		return fmt.Errorf("%q cannot be the name of an environment variable", name)
	case strings.ContainsRune(value, 0):
		return fmt.Errorf("the value of the environment variable %s contains a NUL byte", name)
	case name == "PHP_INI_SCAN_DIR":
		return fmt.Errorf("the environment variable %s is set by the ini scan directory", name)
	case slices.Contains(refusedEnv, strings.ToUpper(name)):
		return fmt.Errorf("the environment variable %s would change how php-cgi runs", name)
	}
	return nil
}

// Environ returns the environment that php-cgi gets, sorted: PATH, LANG, TZ
// and TMPDIR as this process has them (on Windows also what programs cannot
// start without), HOME and USER of the user it runs as, and o.Env. Nothing
// else that this process was started with is ever shown to a script.
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

// serveEnviron is Environ with what makes php-cgi a server: children forked
// processes, or one that serves itself if that is 0, and no bound of requests,
// because a child that ends by itself loses the request that is on its way.
func (o Options) serveEnviron(children int) []string {
	env := append(o.Environ(), "PHP_FCGI_MAX_REQUESTS=0")
	if children > 0 {
		env = append(env, "PHP_FCGI_CHILDREN="+strconv.Itoa(children))
	}
	return env
}
