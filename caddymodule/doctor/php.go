package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// check is one php-cgi being looked at.
type check struct {
	*invocation
	findings
	binary *phpbin.Binary
	info   *phpbin.PHPInfo
}

func (w *invocation) checkPHP(ctx context.Context) Subject {
	c := &check{invocation: w}
	s := Subject{Kind: "php-cgi", Name: w.path}
	if len(w.pools) > 0 {
		s.Name += " as " + strings.Join(w.pools, ", ") + " would start it"
	}
	var err error
	if c.binary, err = phpbin.Detect(ctx, w.path, w.options); err == nil {
		c.info, err = phpbin.ReadPHPInfo(ctx, w.path, w.options)
	}
	if err != nil {
		c.cannotRun(err)
		s.Findings = c.findings
		return s
	}
	s.PHP = c.facts()
	c.version()
	c.opcache()
	c.files()
	c.startupWarnings()
	c.limits()
	c.debugExtensions()
	c.debian()
	c.directories()
	c.selfTest(ctx, s.PHP)
	s.Findings = c.findings
	return s
}

// cannotRun tells why a program does not even say what it is.
func (c *check) cannotRun(err error) {
	remedy := "install it anew, or name another one with `binary <path>`"
	var start *phpbin.StartError
	switch {
	case errors.Is(err, os.ErrPermission):
		remedy = "give this user the permission to run it (chmod), or name another one with `binary <path>`"
	case errors.As(err, &start):
		remedy = "see to what it says, or name another one with `binary <path>`"
		if known := remedyFor(strings.Join(start.Stderr, "\n"), nil); known != "" {
			remedy = known
		}
	}
	c.problem(remedy, "%v", err)
}

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

// isOn is for directives that are "On" or "1".
func (c *check) isOn(name string) bool {
	value := strings.ToLower(c.setting(name))
	return value != "" && value != "off" && value != "0" && value != "no"
}

func (c *check) version() {
	b := c.binary
	if b.ZTS {
		c.note("install the build that is not thread-safe (nts): php-cgi has no use for the other",
			"PHP %s, thread-safe: request_timeout can only kill, and threads cost time", b.VersionText)
		return
	}
	c.ok("PHP %s with %s", b.VersionText, count(len(c.info.Extensions), "extension"))
}

// opcacheMemory is in bytes; the directive is in megabytes.
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
			remedy = "install the extension (Debian: apt install php" + minor(c.binary.Version) + "-opcache) and load it by " +
				"`zend_extension=opcache` in an ini file"
		}
		c.note(remedy, "OPcache is off: each request compiles its scripts anew")
		return
	}
	jit := "off"
	if c.binary.JIT {
		jit = "on"
	}
	c.ok("OPcache on with %s, JIT %s", humanize.IBytes(uint64(c.opcacheMemory())), jit)
	if !c.isOn("opcache.validate_timestamps") {
		c.note("run `caddy php-pool restart` after each deploy, or write `ini opcache.validate_timestamps 1`",
			"opcache.validate_timestamps is off: a script that changes is not seen")
	}
}

// minor is "8.2".
func minor(v phpbin.Version) string { return strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor) }

// files looks at which ini files are read and at what visitors would see for
// want of one.
func (c *check) files() {
	b := c.binary
	if b.INIFile != "" {
		c.ok("reads %s and %s", b.INIFile, c.scanned())
		for _, file := range b.INIFiles() {
			if f, err := os.Open(file); err != nil {
				c.note("run doctor as root", "an ini file cannot be looked at: %v", err)
			} else {
				f.Close()
			}
		}
	}
	if here, err := os.Getwd(); err == nil && b.INIFile == filepath.Join(here, "php.ini") && b.INIPath != here &&
		c.options.INIFile == "" {
		c.note("write `ini_file <path>`, or take that file away",
			"its php.ini is that of the current directory: a Caddy that is started elsewhere has another one")
	}
	remedy := "write `ini display_errors 0`"
	if b.INIFile == "" {
		where := b.INIPath
		if where == "" {
			where = "the directory that php-cgi -i names"
		}
		remedy = "copy PHP's own php.ini-production to " + filepath.Join(where, "php.ini") + ", or write `ini display_errors 0`"
	}
	shown := c.isOn("display_errors")
	switch {
	case shown && b.INIFile == "":
		c.problem(remedy, "there is no php.ini, so visitors see PHP's error messages (display_errors is on)")
	case shown:
		c.note(remedy, "visitors see PHP's error messages (display_errors is on)")
	case b.INIFile == "":
		c.ok("no php.ini, %s", c.scanned())
	}
}

func (c *check) scanned() string {
	return count(len(c.binary.ScannedFiles), "more file") + " in " + orNone(c.binary.INIScanDir)
}

func orNone(text string) string {
	if text == "" {
		return "no directory"
	}
	return text
}

// startupWarnings are what php-cgi says at its start.
func (c *check) startupWarnings() {
	for _, line := range c.binary.Warnings {
		remedy := remedyFor(line, c.binary.INIFiles())
		if remedy == "" {
			remedy = "see to it in " + strings.Join(c.binary.INIFiles(), ", ")
			if len(c.binary.INIFiles()) > 3 {
				remedy = "see to it in " + c.binary.INIFile + " or " + c.binary.INIScanDir
			}
		}
		c.problem(remedy, "at its start it complains: %s", line)
	}
}

func (c *check) limits() {
	memory := "none"
	if c.binary.MemoryLimit > 0 {
		memory = humanize.IBytes(uint64(c.binary.MemoryLimit))
	}
	c.ok("memory_limit %s, max_execution_time %s s, post_max_size %s, upload_max_filesize %s",
		memory, c.setting("max_execution_time"), c.setting("post_max_size"), c.setting("upload_max_filesize"))
	if c.binary.MemoryLimit <= 0 {
		c.note("write `ini memory_limit 256M`, or what the site needs",
			"memory_limit is off: one script can take all memory, and max_workers auto counts each worker as 128 MiB")
	}
	post, upload := c.info.Bytes("post_max_size"), c.info.Bytes("upload_max_filesize")
	if post > 0 && post < upload {
		c.note("write `ini post_max_size` larger than upload_max_filesize",
			"post_max_size %s is less than upload_max_filesize %s: an upload of that size does not arrive",
			c.setting("post_max_size"), c.setting("upload_max_filesize"))
	}
}

// debugExtensions are settings and extensions that do not belong where visitors are.
func (c *check) debugExtensions() {
	if slices.Contains(c.info.Extensions, "xdebug") && c.setting("xdebug.mode") != "off" {
		c.note("write `ini xdebug.mode off`, or take the extension out",
			"Xdebug is on (xdebug.mode %s): it slows each request and turns the JIT off", c.setting("xdebug.mode"))
	}
}
