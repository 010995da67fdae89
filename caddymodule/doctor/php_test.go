package doctor

import (
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestPHP_NoProblems(t *testing.T) {
	s := checkRealPHP(t, settings("display_errors", "0", "opcache.enable", "1", "session.save_path", t.TempDir()))
	for _, f := range s.Findings {
		if f.Level == Problem {
			t.Errorf("problem: %s", f.Summary)
		}
	}
	wantFinding(t, s.Findings, OK, "works as a FastCGI worker", "")
	p := s.PHP
	if p == nil || p.Start <= 0 || !p.OPcache || p.OPcacheMemory <= 0 || p.MemoryLimit == 0 || p.MaxExecutionTime == "" ||
		!slices.Contains(p.Extensions, "Core") || !slices.Equal(p.Pools, []string{"x"}) || !strings.Contains(s.Name, "by x") {
		t.Errorf("got %+v of %s", p, s.Name)
	}
}

func TestPHP_Settings(t *testing.T) {
	none := ""
	for name, c := range map[string]struct {
		options      phpbin.Options
		level        Level
		text, remedy string
	}{
		"extension": {
			settings("extension", "no_such"), Problem, "Unable to load dynamic library 'no_such'", "apt install php-no_such",
		},
		"no php.ini": {
			phpbin.Options{INIFile: "/no/such/php.ini", INIScanDir: &none, INI: settings("display_errors", "1").INI},
			Problem, "there is no php.ini", "php.ini-production",
		},
		"display_errors": {settings("display_errors", "1"), Note, "display_errors is on", "ini display_errors 0"},
		"memory":         {settings("memory_limit", "-1"), Note, "memory_limit is off", "ini memory_limit"},
		"upload":         {settings("post_max_size", "2M", "upload_max_filesize", "1G"), Note, "post_max_size 2M is less", "larger"},
		"opcache":        {settings("opcache.enable", "0"), Note, "OPcache is off", "ini opcache.enable 1"},
		"no opcache":     {phpbin.Options{INIScanDir: &none}, Note, "OPcache is off", "zend_extension=opcache"},
		"timestamps":     {settings("opcache.validate_timestamps", "0"), Note, "does not notice changed scripts", "php-pool restart"},
		"sessions":       {settings("session.save_path", "/no/such/dir"), Problem, "(session.save_path): stat /no/such/dir", "ini session.save_path"},
		"sessions deep":  {settings("session.save_path", "2;0600;/no/deep"), Problem, "(session.save_path): stat /no/deep", ""},
		"uploads":        {settings("upload_tmp_dir", "/no/uploads"), Problem, "(upload_tmp_dir): stat /no/uploads", ""},
		"shared memory":  {settings("opcache.memory_consumption", "100000000", "opcache.enable", "1"), Problem, "Unable to allocate shared memory segment", ""},
	} {
		t.Run(name, func(t *testing.T) {
			wantFinding(t, checkRealPHP(t, c.options).Findings, c.level, c.text, c.remedy)
		})
	}
}

// TestPHP_LockFile has a php-cgi that prints the message of PHP up to 8.3 when
// opcache.lockfile_path is not a directory; newer ones ignore that setting on Linux.
func TestPHP_LockFile(t *testing.T) {
	path := write(t, t.TempDir(), "php-cgi", `#!/bin/sh
echo 'Sat Nov 28 04:01:57 2026 (1): Fatal Error Unable to create lock file: No such file or directory (2)' >&2
exit 254
`)
	inv := &invocation{path: path, shared: phpbin.SupportsShared, pools: []string{"x"}}
	wantFinding(t, inv.run(t.Context()).Findings, Problem, "Unable to create lock file", "ini opcache.lockfile_path")
}

func TestPHP_SessionsNotInFiles(t *testing.T) {
	path := write(t, t.TempDir(), "php-cgi", `#!/bin/sh
`+php(t)+` "$@" | sed '/session.save_handler/s/>files</>redis</g; /session.save_path/s/>[^<]*</>tcp:\/\/127.0.0.1</g'
`)
	inv := &invocation{path: path, pools: []string{"x"}}
	f := inv.run(t.Context()).Findings
	wantFinding(t, f, OK, "memory_limit", "")
	wantNoFinding(t, f, "session.save_path")
}

func TestSelfTest_WorkerFails(t *testing.T) {
	path := write(t, t.TempDir(), "php-cgi", `#!/bin/sh
case "$*" in
*-v|*-i) exec `+php(t)+` "$@" ;;
esac
echo 'PHP Fatal error: no more' >&2
exit 9
`)
	for _, shared := range []bool{false, phpbin.SupportsShared} {
		inv := &invocation{path: path, shared: shared, pools: []string{"x"}}
		wantFinding(t, inv.run(t.Context()).Findings, Problem, "it does not work as a FastCGI worker", "in a shell")
	}
}

// TestPHP_INIInCurrentDirectory: php-cgi looks for one there first
// (main/php_ini.c, php_ini_search_path).
func TestPHP_INIInCurrentDirectory(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "php.ini", "memory_limit = 77M\n")
	t.Chdir(dir)
	s := checkRealPHP(t, phpbin.Options{})
	wantFinding(t, s.Findings, Note, "it reads php.ini from the current directory", "ini_file")
	if s.PHP.MemoryLimit != 77<<20 {
		t.Errorf("got memory_limit %d", s.PHP.MemoryLimit)
	}
	wantNoFinding(t, checkRealPHP(t, phpbin.Options{INIFile: path}).Findings, "current directory")
}

// TestRun_NoScriptAndNoLog sets a preload script and a log.
func TestRun_NoScriptAndNoLog(t *testing.T) {
	dir := t.TempDir()
	script := write(t, dir, "preload.php", "<?php touch('"+dir+"/ran');")
	s := checkRealPHP(t, settings("opcache.preload", script, "opcache.preload_user", "root", "error_log", dir+"/log", "extension", "no_such"))
	wantFinding(t, s.Findings, OK, "works as a FastCGI worker", "")
	for _, name := range []string{"ran", "log"} {
		if got := fileNames(t, dir); slices.Contains(got, name) {
			t.Errorf("%s was created", name)
		}
	}
}

func TestPHP_NotPHP(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ script, text, remedy string }{
		"lib":   {"echo 'error while loading shared libraries: libxml2.so.2: cannot open' >&2; exit 127", "libxml2.so.2", "install the package that has libxml2.so.2"},
		"noise": {"echo hello", "is not PHP", "reinstall it"},
	} {
		path := write(t, dir, name, "#!/bin/sh\n"+c.script+"\n")
		used := &invocation{path: path, pools: []string{"x"}}
		wantFinding(t, used.run(t.Context()).Findings, Problem, c.text, c.remedy)
		unused := &invocation{path: path}
		wantFinding(t, unused.run(t.Context()).Findings, Note, "(no pool runs it)", c.remedy)
	}
}
