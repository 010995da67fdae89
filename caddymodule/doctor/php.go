package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/mevdschee/caddy-php-pool/internal/human"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// check collects the findings about one php-cgi.
type check struct {
	*invocation
	findings
	binary *phpbin.Binary
	info   *phpbin.PHPInfo
}

// checkPHP runs all checks of php-cgi, or reports why it cannot be run.
func (inv *invocation) checkPHP(ctx context.Context) Subject {
	c := &check{invocation: inv}
	s := Subject{Kind: "php-cgi", Name: inv.path}
	if len(inv.pools) > 0 {
		s.Name += " as started by " + strings.Join(inv.pools, ", ")
	}
	var err error
	if c.binary, err = phpbin.Detect(ctx, inv.path, inv.options); err == nil {
		c.info, err = phpbin.ReadPHPInfo(ctx, inv.path, inv.options)
	}
	if err != nil {
		c.cannotRun(err)
		s.Findings = c.findings
		return s
	}
	s.PHP = c.facts()
	c.version()
	c.opcache()
	c.iniFiles()
	c.startupWarnings()
	c.limits()
	c.debugExtensions()
	c.debian()
	c.directories()
	c.selfTest(ctx, s.PHP)
	s.Findings = c.findings
	return s
}

// cannotRun reports a program that does not even print its version.
func (c *check) cannotRun(err error) {
	remedy := "reinstall it, or choose another php-cgi with `binary <path>`"
	var start *phpbin.StartError
	switch {
	case errors.Is(err, os.ErrPermission):
		remedy = "give this user permission to run it (chmod), or choose another php-cgi with `binary <path>`"
	case errors.As(err, &start):
		remedy = "fix the error that it reports, or choose another php-cgi with `binary <path>`"
		if known := remedyFor(strings.Join(start.Stderr, "\n"), nil); known != "" {
			remedy = known
		}
	}
	c.problem(remedy, "%v", err)
}

// facts returns the description of php-cgi for the report.
func (c *check) facts() *PHP {
	b := c.binary
	p := &PHP{
		Path: b.Path, Version: b.VersionText, ZTS: b.ZTS, OPcache: b.OPcache, JIT: b.JIT,
		MemoryLimit: b.MemoryLimit, MaxExecutionTime: c.setting("max_execution_time"),
		INIFile: b.INIFile, ScannedFiles: b.ScannedFiles, Extensions: c.info.Extensions, Pools: c.pools,
	}
	if b.OPcache {
		p.OPcacheMemory = c.opcacheMemory()
	}
	return p
}

func (c *check) setting(name string) string {
	value, _ := c.info.Setting(name)
	return value
}

// isOn reports whether a boolean directive is on.
func (c *check) isOn(name string) bool {
	value := strings.ToLower(c.setting(name))
	return value != "" && value != "off" && value != "0" && value != "no"
}

func (c *check) version() {
	b := c.binary
	if b.ZTS {
		c.note("install the non-thread-safe build (nts): php-cgi uses no threads",
			"PHP %s, thread-safe build: it is slower, and request_timeout can only kill the worker", b.VersionText)
		return
	}
	c.ok("PHP %s with %s", b.VersionText, human.Plural(len(c.info.Extensions), "extension"))
}

// opcacheMemory returns the size in bytes; the directive has it in MiB.
func (c *check) opcacheMemory() int64 {
	n, err := strconv.ParseInt(c.setting("opcache.memory_consumption"), 10, 64)
	if err != nil || n > 1<<20 {
		return 0
	}
	return n << 20
}

func (c *check) opcache() {
	if !c.binary.OPcache {
		remedy := "write `ini opcache.enable 1`"
		if _, loaded := c.info.Setting("opcache.enable"); !loaded {
			remedy = opcacheRemedy(runtime.GOOS, minor(c.binary.Version))
		}
		c.note(remedy, "OPcache is off: every request compiles its scripts")
		return
	}
	jit := "off"
	if c.binary.JIT {
		jit = "on"
	}
	c.ok("OPcache on with %s, JIT %s", human.Bytes(c.opcacheMemory()), jit)
	if !c.isOn("opcache.validate_timestamps") {
		c.note("run `caddy php-pool restart` after each deploy, or write `ini opcache.validate_timestamps 1`",
			"opcache.validate_timestamps is off: PHP does not notice changed scripts")
	}
}

// minor returns a version without its last part, such as 8.2.
func minor(v phpbin.Version) string { return strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor) }

// iniFiles checks which ini files are read, and display_errors, which is on by
// default where there is no php.ini.
func (c *check) iniFiles() {
	b := c.binary
	if b.INIFile != "" {
		c.ok("reads %s and %s", b.INIFile, c.scanned())
		for _, file := range b.INIFiles() {
			if f, err := os.Open(file); err != nil {
				c.note(privilegeRemedy(runtime.GOOS), "cannot read an ini file: %v", err)
			} else {
				f.Close()
			}
		}
	}
	if here, err := os.Getwd(); err == nil && b.INIFile == filepath.Join(here, "php.ini") && b.INIPath != here &&
		c.options.INIFile == "" {
		c.note("write `ini_file <path>`, or remove that file",
			"it reads php.ini from the current directory: a Caddy that is started elsewhere reads another one")
	}
	remedy := "write `ini display_errors 0`"
	if b.INIFile == "" {
		where := b.INIPath
		if where == "" {
			where = "the configuration path that `php-cgi -i` shows"
		}
		remedy = "copy php.ini-production of PHP to " + filepath.Join(where, "php.ini") + ", or write `ini display_errors 0`"
	}
	displayed := c.isOn("display_errors")
	switch {
	case displayed && b.INIFile == "":
		c.problem(remedy, "there is no php.ini, so visitors see PHP's error messages (display_errors is on)")
	case displayed:
		c.note(remedy, "visitors see PHP's error messages (display_errors is on)")
	case b.INIFile == "":
		c.ok("no php.ini, %s", c.scanned())
	}
}

func (c *check) scanned() string {
	return human.Plural(len(c.binary.ScannedFiles), "more file") + " in " + orNone(c.binary.INIScanDir)
}

// orNone replaces an empty directory or list of files.
func orNone(text string) string {
	if text == "" {
		return "no directory"
	}
	return text
}

// startupWarnings reports the messages that php-cgi prints when it starts.
func (c *check) startupWarnings() {
	for _, line := range c.binary.Warnings {
		remedy := remedyFor(line, c.binary.INIFiles())
		if remedy == "" {
			remedy = "correct it in " + strings.Join(c.binary.INIFiles(), ", ")
			if len(c.binary.INIFiles()) > 3 {
				remedy = "correct it in " + c.binary.INIFile + " or " + c.binary.INIScanDir
			}
		}
		c.problem(remedy, "startup warning: %s", line)
	}
}

func (c *check) limits() {
	memory := "none"
	if c.binary.MemoryLimit > 0 {
		memory = human.Bytes(c.binary.MemoryLimit)
	}
	c.ok("memory_limit %s, max_execution_time %s s, post_max_size %s, upload_max_filesize %s",
		memory, c.setting("max_execution_time"), c.setting("post_max_size"), c.setting("upload_max_filesize"))
	if c.binary.MemoryLimit <= 0 {
		c.note("write `ini memory_limit 256M`, or as much as the site needs",
			"memory_limit is off: one script can use all memory, and max_workers auto assumes 128 MiB for each worker")
	}
	post, upload := c.info.Bytes("post_max_size"), c.info.Bytes("upload_max_filesize")
	if post > 0 && post < upload {
		c.note("write `ini post_max_size <size>` with a size larger than upload_max_filesize",
			"post_max_size %s is less than upload_max_filesize %s: PHP rejects uploads of that size",
			c.setting("post_max_size"), c.setting("upload_max_filesize"))
	}
}

// debugExtensions reports extensions that do not belong in production.
func (c *check) debugExtensions() {
	if slices.Contains(c.info.Extensions, "xdebug") && c.setting("xdebug.mode") != "off" {
		c.note("write `ini xdebug.mode off`, or remove the extension",
			"Xdebug is on (xdebug.mode %s): it slows down every request and disables the JIT", c.setting("xdebug.mode"))
	}
}
