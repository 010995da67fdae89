//go:build unix

package fpm

import (
	"fmt"
	"strings"
)

// arguments are those of php-fpm (OPTIONS in sapi/fpm/fpm/fpm_main.c).
type arguments struct {
	config      string      // -y, or ""
	prefix      string      // -p, or ""
	pidFile     string      // -g, or ""
	ini         string      // -c: a php.ini, a directory with one, or ""
	noINI       bool        // -n
	settings    [][2]string // -d, in the order given
	test        int         // how many -t
	foreground  bool        // -F
	background  bool        // -D
	forceStderr bool        // -O
	runAsRoot   bool        // -R
	show        byte        // one of h, i, m, v, which print something and exit; 0 for none
}

// longNames are the long names of the options.
var longNames = map[string]byte{
	"php-ini": 'c', "define": 'd', "profile-info": 'e', "help": 'h', "info": 'i', "modules": 'm', "no-php-ini": 'n',
	"usage": 'h', "version": 'v', "fpm-config": 'y', "test": 't', "prefix": 'p', "pid": 'g', "allow-to-run-as-root": 'R',
	"daemonize": 'D', "nodaemonize": 'F', "force-stderr": 'O',
}

// takesValue are the options that have a value.
const takesValue = "cdgpy"

// parseArguments parses php-fpm's arguments. Short options may be joined (`-tt`), and a
// value follows its option with or without a blank, or after "=".
func parseArguments(args []string) (*arguments, error) {
	a := &arguments{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case strings.HasPrefix(arg, "--"):
			name, value, hasValue := strings.Cut(arg[2:], "=")
			option, ok := longNames[name]
			if !ok {
				return nil, fmt.Errorf("unrecognized option %s: see caddy php-pool fpm -h", arg)
			}
			if strings.IndexByte(takesValue, option) >= 0 && !hasValue {
				if len(args) == 0 {
					return nil, fmt.Errorf("the option %s needs a value", arg)
				}
				value, args = args[0], args[1:]
			}
			a.set(option, value)
		case len(arg) > 1 && arg[0] == '-':
			var err error
			if args, err = a.short(arg[1:], args); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("unrecognized argument %s: see caddy php-pool fpm -h", arg)
		}
	}
	return a, nil
}

// short parses joined short options. rest are the arguments that follow.
func (a *arguments) short(letters string, rest []string) ([]string, error) {
	for i := range len(letters) {
		option := letters[i]
		switch {
		case strings.IndexByte(takesValue, option) >= 0:
			value := strings.TrimPrefix(letters[i+1:], "=")
			if value == "" {
				if len(rest) == 0 {
					return nil, fmt.Errorf("the option -%c needs a value", option)
				}
				value, rest = rest[0], rest[1:]
			}
			a.set(option, value)
			return rest, nil
		case strings.IndexByte("ehimnvtRDFO?", option) < 0:
			return nil, fmt.Errorf("unrecognized option -%c: see caddy php-pool fpm -h", option)
		}
		a.set(option, "")
	}
	return rest, nil
}

// set sets an option. -e, for debuggers, needs nothing here.
func (a *arguments) set(option byte, value string) {
	switch option {
	case 'y':
		a.config = value
	case 'p':
		a.prefix = value
	case 'g':
		a.pidFile = value
	case 'c':
		a.ini = value
	case 'd':
		name, setting, ok := strings.Cut(value, "=")
		if !ok {
			setting = "1" // as php_ini_builder_define
		}
		a.settings = append(a.settings, [2]string{strings.TrimSpace(name), unquote(strings.TrimSpace(setting))})
	case 'n':
		a.noINI = true
	case 't':
		a.test++
	case 'F':
		a.foreground, a.background = true, false
	case 'D':
		a.foreground, a.background = false, true
	case 'O':
		a.forceStderr = true
	case 'R':
		a.runAsRoot = true
	case 'h', '?':
		a.show = 'h'
	case 'i', 'm', 'v':
		a.show = option
	}
}

// unquote removes the quotes around a value, which PHP's ini parser would.
func unquote(value string) string {
	if n := len(value); n > 1 && value[0] == value[n-1] && (value[0] == '"' || value[0] == '\'') {
		return value[1 : n-1]
	}
	return value
}
