package doctor

import (
	"strings"
	"testing"
)

func TestRemedies_StartupErrors(t *testing.T) {
	dir := t.TempDir()
	loads := write(t, dir, "20-redis.ini", "; extension=redis\nextension=redis.so\n")
	again := write(t, dir, "30-more.ini", "extension = \"php_redis.dll\"\nzend_extension=/usr/lib/php/xdebug.so ; slow\n")
	files := []string{loads, again, dir + "/absent.ini"}
	for _, c := range []struct {
		warning string
		want    []string
	}{
		{"PHP Warning:  PHP Startup: Unable to load dynamic library 'redis.so' (tried: ...)", []string{"php-redis", loads, again}},
		{"Failed loading Zend extension 'xdebug.so' (tried: ...)", []string{"php-xdebug", again}},
		{"Failed loading /usr/lib/php/xdebug.so:  cannot open", []string{"php-xdebug", again}},
		{"PHP Warning:  Unable to load dynamic library 'imap'", []string{"php-imap", "remove the line"}},
		{`PHP Warning:  Module "redis" is already loaded in Unknown on line 0`, []string{loads + ", " + again}},
		{"PHP:  syntax error, unexpected '(' in /etc/php.ini on line 12", []string{"line 12 of /etc/php.ini"}},
		{`"opcache.preload_user" has not been defined`, []string{"opcache.preload_user www-data"}},
		{"php-cgi: error while loading shared libraries: libonig.so.5: cannot open", []string{"has libonig.so.5,"}},
		{`PHP Warning:  Invalid "memory_limit" setting. Invalid quantity`, []string{"set memory_limit"}},
	} {
		got := remedyFor(c.warning, files)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got remedy %q, want one with %q", c.warning, got, want)
			}
		}
	}
	if got := remedyFor("PHP Warning:  something new", files); got != "" {
		t.Errorf("unknown warning: got remedy %q, want none", got)
	}
}
