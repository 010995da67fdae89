// Package phpruntime has the PHP that php_pool loads into php-cgi: functions that
// php-cgi lacks. Each file of PHP defines one of them.
package phpruntime

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed finish_request.php
var finishRequest string

//go:embed headers_send.php
var headersSend string

// Functions says what to define.
type Functions struct {
	// Mark begins each signal to php_pool: see fastcgi.Request.SignalMark. It must
	// consist of letters, digits and colons.
	Mark string

	// Disabled has the names in PHP's disable_functions. A function in it, or one
	// that calls a function in it, is not defined: since PHP 8.0 a disabled function
	// could be defined again.
	Disabled []string

	// Preload is the opcache.preload of the user, which Source loads as well; may
	// be empty.
	Preload string
}

// function is a file of PHP and what the function in it calls.
type function struct {
	name, source string
	calls        []string
}

var functions = []function{
	{"fastcgi_finish_request", finishRequest, []string{"error_log", "flush", "headers_sent", "ob_end_flush", "ob_get_level"}},
	{"headers_send", headersSend, []string{"base64_encode", "error_log", "flush", "headers_list", "headers_sent", "http_response_code", "implode", "str_repeat"}},
}

// Defined returns the names of the functions that Source defines.
func (f *Functions) Defined() []string {
	var names []string
	for i := range functions {
		if f.allowed(&functions[i]) {
			names = append(names, functions[i].name)
		}
	}
	return names
}

func (f *Functions) allowed(fn *function) bool {
	disabled := func(name string) bool { return slices.Contains(f.Disabled, name) }
	return !disabled(fn.name) && !slices.ContainsFunc(fn.calls, disabled)
}

// Source returns the PHP, for opcache.preload or auto_prepend_file.
func (f *Functions) Source() string {
	var b strings.Builder
	b.WriteString("<?php\n")
	for i := range functions {
		if fn := &functions[i]; f.allowed(fn) {
			b.WriteString(strings.ReplaceAll(strings.TrimPrefix(fn.source, "<?php\n"), "@MARK@", f.Mark))
		}
	}
	if f.Preload != "" {
		b.WriteString("\nrequire " + quote(f.Preload) + ";\n")
	}
	return b.String()
}
