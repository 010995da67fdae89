//go:build unix

package fpm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/mevdschee/caddy-php-pool/caddymodule/fpmconf"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// config holds the content of php-fpm.conf, for Caddy.
type config struct {
	file    string
	process *fpmconf.Process
	json    []byte   // Caddy's config
	dropped []string // lines without effect, with the reason
}

// configError has all reasons why php-fpm.conf cannot be used.
type configError []string

func (e configError) Error() string { return strings.Join(e, "\n") }

// places are where distributions, and PHP's containers, have php-fpm.conf.
var places = []string{"/etc/php/*/fpm/php-fpm.conf", "/usr/local/etc/php-fpm.conf", "/etc/php-fpm.conf", "/etc/php*/php-fpm.conf"}

// findConfig returns the php-fpm.conf of this machine.
func findConfig(prefix string) (string, error) {
	if prefix != "" {
		return filepath.Join(prefix, "etc/php-fpm.conf"), nil
	}
	var found []string
	for _, pattern := range places {
		files, _ := filepath.Glob(pattern) // the patterns are valid
		found = append(found, files...)
	}
	switch len(found) {
	case 0:
		return "", errors.New("no php-fpm.conf found: name it with -y")
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("there are several php-fpm.conf (%s): name one with -y", strings.Join(found, ", "))
}

// load reads php-fpm.conf. The error is a configError, or that of the first file.
func (a *arguments) load() (*config, error) {
	file := a.config
	if file == "" {
		var err error
		if file, err = findConfig(a.prefix); err != nil {
			return nil, err
		}
	}
	prefix, state := "/usr", "/var"
	switch {
	case a.prefix != "":
		prefix, state = a.prefix, a.prefix // fpm_evaluate_full_path
	case strings.HasPrefix(file, "/usr/local/"):
		prefix, state = "/usr/local", "/usr/local/var"
	}
	parsed, err := fpmconf.ReadToServe(fpmconf.Disk{}, file, prefix, os.Getenv)
	if err != nil {
		return nil, err
	}
	serving := &fpmconf.Serving{
		Root: os.Geteuid() == 0, RunAsRoot: a.runAsRoot, INIFile: a.ini, INI: a.settings, INIFiles: iniFiles,
	}
	if a.noINI {
		serving.INIFile, serving.INIScanDir = os.DevNull, "none"
	}
	if problems := fpmconf.Check(parsed, serving); len(problems) > 0 {
		return nil, configError(problems)
	}
	c := &config{file: file, process: fpmconf.ProcessOf(parsed, state)}
	if a.pidFile != "" {
		c.process.PIDFile = a.pidFile
	}
	switch {
	case a.foreground:
		c.process.Daemonize = false
	case a.background:
		c.process.Daemonize = true
	}
	serving.Global = c.globalOptions()
	result := fpmconf.Serve(parsed, serving)
	if len(result.Lost) > 0 {
		return nil, configError(result.Lost)
	}
	c.dropped = result.Dropped
	c.json, _, err = caddyconfig.GetAdapter("caddyfile").Adapt([]byte(result.Caddyfile), map[string]any{"filename": file})
	if err != nil {
		return nil, fmt.Errorf("in the Caddyfile for %s: %w", file, err)
	}
	return c, nil
}

var debianFile = regexp.MustCompile(`^/etc/php/(\d+\.\d+)/`)

// binary returns the version of the php-cgi that the pools run, or "" for the default.
func (c *config) binary() string {
	if m := debianFile.FindStringSubmatch(c.file); m != nil {
		return m[1]
	}
	return ""
}

// iniFiles returns the ini files that php-cgi reads with these options of a pool.
func iniFiles(options []string) ([]string, error) {
	o := phpbin.Options{}
	for _, line := range options {
		name, value, _ := strings.Cut(line, " ")
		switch name {
		case "binary":
			o.Binary = value
		case "ini_file":
			o.INIFile = value
		case "ini_scan_dir":
			if value == "none" {
				value = ""
			}
			o.INIScanDir = &value
		}
	}
	path, err := phpbin.Find(o.Binary)
	if err != nil {
		return nil, err
	}
	b, err := phpbin.Detect(context.Background(), path, o)
	if err != nil {
		return nil, err
	}
	return b.INIFiles(), nil
}

// levels are the levels of Caddy for those of php-fpm.
var levels = map[string]string{"debug": "DEBUG", "notice": "INFO", "warning": "WARN", "error": "ERROR", "alert": "PANIC"}

// globalOptions returns the global options of the Caddyfile, without php_pool. Messages
// of Caddy itself are in the log from the level of warnings.
func (c *config) globalOptions() []string {
	level := levels[c.process.LogLevel]
	ofCaddy := level
	if level == "INFO" {
		ofCaddy = "WARN"
	}
	options := []string{
		"admin off",
		"persist_config off",
		"log default {", "\toutput stderr", "\tformat php_fpm", "\tlevel " + ofCaddy, "\texclude php_pool admin", "}",
		"log php_pool {", "\toutput stderr", "\tformat php_fpm", "\tlevel " + level, "\tinclude php_pool", "\texclude php_pool.fastcgi.access", "}",
	}
	for i, pool := range slices.Sorted(maps.Keys(c.process.Slowlogs)) {
		options = append(options, fmt.Sprintf("log slowlog%d {", i),
			"\toutput php_fpm "+fpmconf.Quote(c.process.Slowlogs[pool]), "\tformat php_fpm_slowlog "+fpmconf.Quote(pool),
			"\tlevel WARN", "\tinclude php_pool.pool", "}")
	}
	for i, pool := range slices.Sorted(maps.Keys(c.process.AccessLogs)) {
		options = append(options, fmt.Sprintf("log access%d {", i),
			"\toutput php_fpm "+fpmconf.Quote(c.process.AccessLogs[pool]), "\tformat php_fpm_access "+fpmconf.Quote(pool),
			"\tinclude php_pool.fastcgi.access", "}")
	}
	if socket := adminSocket(c.file); socket != "" {
		options[0] = "admin unix/" + fpmconf.Quote(socket) + "|0600"
	}
	return options
}

// adminSocket returns the path of the admin endpoint for a php-fpm.conf: in a directory
// that belongs to the user alone. It returns "" if the user has no place for one.
func adminSocket(file string) string {
	dir := "/run/php-pool"
	if os.Geteuid() != 0 {
		run := os.Getenv("XDG_RUNTIME_DIR")
		if run == "" {
			return ""
		}
		dir = filepath.Join(run, "php-pool")
	}
	if absolute, err := filepath.Abs(file); err == nil {
		file = absolute
	}
	socket := filepath.Join(dir, strings.ReplaceAll(strings.Trim(file, "/"), "/", "-")+".sock")
	if len(socket) > maxSocketPath {
		return ""
	}
	return socket
}

// maxSocketPath is the longest path of a Unix socket on all systems (unix(7): 108 bytes
// on Linux, 104 elsewhere, with the final NUL).
const maxSocketPath = 103
