//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// badOptions are invalid lines of a configuration, and what the error must name:
// the option, the value, the remedy.
var badOptions = []struct {
	name  string
	lines string
	says  []string
}{
	{"an unknown option", "wrokers 4", []string{"wrokers"}},
	{"an option of another server", "lb_policy first", []string{"lb_policy"}},
	{"an address, as after php_fastcgi", "to unix//run/php/php-fpm.sock", []string{"to", "php-cgi", "remove"}},
	{"a repeated option", "umask 022\numask 027", []string{"umask", "once|twice|already|repeated|duplicate"}},
	{"a missing php-cgi", "binary /nowhere/php-cgi", []string{"/nowhere/php-cgi", "install|binary"}},
	{"a php-cgi that is another program", "binary /bin/true", []string{"/bin/true", "php-cgi|cgi-fcgi"}},
	{"a PHP that is not php-cgi", "binary {$DIR}/php", []string{"php", "cli", "php-cgi|cgi-fcgi"}},
	{"a version that is not installed", "binary 5.3", []string{"5.3"}},
	{"a missing ini file", "ini_file /nowhere/php.ini", []string{"ini_file", "/nowhere/php.ini"}},
	{"an ini line without a value", "ini memory_limit", []string{"ini|argument"}},
	{"an invalid duration", "start_timeout soon", []string{"start_timeout", "soon", "30s|duration"}},
	{"a negative duration", "queue_timeout -5s", []string{"queue_timeout", "-5s"}},
	{"an invalid size", "max_body much", []string{"max_body", "much"}},
	{"no workers", "workers 0", []string{"workers", "0", "1"}},
	{"a number of workers that is not a number", "workers many", []string{"workers", "many"}},
	{"an unknown spawn mode", "spawn forked", []string{"spawn", "forked", "shared", "single"}},
	{"an unknown user", "user nobody-of-this-name", []string{"user", "nobody-of-this-name"}},
	{"PHP_VALUE for php-fpm", "env PHP_VALUE memory_limit=1G", []string{"PHP_VALUE", "ini"}},
	{"PHP_ADMIN_VALUE for php-fpm", "env PHP_ADMIN_VALUE memory_limit=1G", []string{"PHP_ADMIN_VALUE", "admin_ini"}},
	{"an option without its value", "binary", []string{"binary"}},
	{"an option with too many values", "spool_dir /tmp /var/tmp", []string{"spool_dir|argument"}},
}

// badSite is a site with an invalid option. It does not use the word PHP, so that
// no other option is added.
func badSite(lines string) string {
	if !strings.Contains(lines, "workers") {
		lines = "workers 1\n" + lines
	}
	return "http://127.0.0.1:{$PORT} {\nroot {$SITE}\nphp_pool {\nmanager static\n" + lines + "\n}\n}\n"
}

func TestConfig_InvalidOptions(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PlainSite)
	harness.Symlink(t, "/usr/bin/php", filepath.Join(s.Dir, "php"))
	for _, bad := range badOptions {
		t.Run(bad.name, func(t *testing.T) {
			err := s.Reload(badSite(bad.lines))
			if err == nil {
				t.Fatalf("%q was accepted", bad.lines)
			}
			harness.WantMessage(t, err, bad.says)
		})
	}
	s.Get("/hello.php").Want(t, 200, "hello\n")
	if err := s.Reload(harness.PlainSite); err != nil {
		t.Error("a good configuration after the bad ones:", err)
	}
	s.Get("/hello.php").Want(t, 200, "hello\n")
}

// TestConfig_PHPErrorIsReported loads settings that make php-cgi fail.
func TestConfig_PHPErrorIsReported(t *testing.T) {
	t.Parallel()
	for _, b := range harness.BothSpawnModes {
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, b, harness.PlainSite)
			harness.WriteFile(t, filepath.Join(s.Dir, "preload.php"), "<?php\nthis is no PHP\n")
			err := s.Reload(badSite(strings.Join(b.Lines, "\n") + fmt.Sprintf("\nini opcache.preload %s/preload.php\nini opcache.preload_user %s", s.Dir, harness.PHPUser(t).Username)))
			if err == nil {
				t.Fatal("a preload script that does not parse was accepted")
			}
			harness.WantMessage(t, err, []string{"preload.php", "syntax error|parse error"})
			// Caddy starts its apps in any order: the server of the rejected config
			// may have accepted connections on the shared port, which it closes.
			if got := s.GetFrom(s.Port, "/hello.php"); got != "hello\n" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestConfig_InvalidAtStart starts Caddy with an invalid configuration.
func TestConfig_InvalidAtStart(t *testing.T) {
	t.Parallel()
	s := harness.Prepare(t, harness.SharedLean)
	err := s.Run(badSite("binary /nowhere/php-cgi"))
	if err == nil {
		t.Fatal("Caddy started")
	}
	harness.WantMessage(t, err, []string{"/nowhere/php-cgi"})
}
