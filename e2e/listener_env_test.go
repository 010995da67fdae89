//go:build linux

package e2e

import (
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// envScript shows the variables that a web server has sent, as the script gets them.
const envScript = `<?php
foreach ($_SERVER as $name => $value) {
	if (is_string($value) && !in_array($name, ['PATH', 'USER', 'HOME', 'PHP_FCGI_CHILDREN', 'PHP_FCGI_MAX_REQUESTS', 'FCGI_ROLE', 'LANG', 'TZ', 'TMPDIR'])) {
		echo $name, '=', $value, "\n";
	}
}
echo __FILE__, ' ', getcwd(), ' ', $_SERVER['PHP_SELF'] ?? '-', "\n";`

// unset is a variable that is not sent.
const unset = "\x00"

// Every combination of what web servers send for a script, with and without a path
// behind it. php-fpm is the reference: scripts get the same variables in the same order.
func TestListener_VariablesAreThoseOfPHPFPM(t *testing.T) {
	t.Parallel()
	for _, fix := range []string{"1", "0"} {
		t.Run("cgi.fix_pathinfo="+fix, func(t *testing.T) {
			t.Parallel()
			o := harness.Options{INI: [][2]string{{"cgi.fix_pathinfo", fix}}}
			if fix == "1" {
				o.INI = nil
			}
			s := harness.Start(t, harness.ByListener, harness.PlainSite, o)
			harness.StartFPM(t, s.Dir, s.Options)
			harness.WriteFile(t, filepath.Join(s.Site, "env.php"), envScript)
			harness.WriteFile(t, filepath.Join(s.Site, "dir/env.php"), envScript)
			harness.WriteFile(t, filepath.Join(s.Site, "x.txt"), "text")
			fpm, ours := harness.DialFastCGI(t, filepath.Join(s.Dir, "fpm.sock")), harness.DialFastCGI(t, filepath.Join(s.Dir, "listener.sock"))
			cases := envCases(s.Site)
			for _, pairs := range cases {
				want, err := fpm.Do(true, "", pairs...)
				if err != nil {
					t.Fatalf("php-fpm: %v for %q", err, pairs)
				}
				got, err := ours.Do(true, "", pairs...)
				if err != nil {
					t.Fatalf("%v for %q", err, pairs)
				}
				if fix == "0" { // php-fpm runs PATH_TRANSLATED, and shows SCRIPT_FILENAME
					got.Stdout, want.Stdout = withoutFilename(got.Stdout), withoutFilename(want.Stdout)
				}
				if got.Stdout != want.Stdout || got.Stderr != want.Stderr {
					t.Errorf("%q:\ngot\n%s%s\nwant\n%s%s", pairs, got.Stdout, got.Stderr, want.Stdout, want.Stderr)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

func withoutFilename(text string) string {
	return regexp.MustCompile("(?m)^SCRIPT_FILENAME=.*\n").ReplaceAllString(text, "")
}

// envCases returns sets of variables: each value of each variable with others at random.
func envCases(site string) [][]string {
	values := map[string][]string{
		"SCRIPT_FILENAME": {
			site + "/env.php", site + "/env.php/info", site + "/env.php/a%20b", site + "/env.php/", site + "/dir/env.php/x/env.php", site + "/missing.php",
			site + "/missing.php/info", site + "/x.txt", site + "/x.txt/env.php", site, site + "/", site + "/dir/../env.php", "", unset, "env.php",
			"proxy:fcgi://localhost" + site + "/env.php", "proxy:fcgi://localhost:9000" + site + "/env.php/info?x=y", "proxy:balancer://lb" + site + "/env.php/a%20b",
			"Proxy:FCGI://localhost" + site + "/env.php/a b", "proxy:fcgi://localhost", "proxy:fcgi://localhost" + site + "/env.php/info", site + "//env.php//info",
			site + `/env.php\info`, "/usr/bin/php-cgi",
		},
		"SCRIPT_NAME":     {"/env.php", "/env.php/info", "/env.php/a b", "/env.php/a%20b", "/dir/env.php", "/php/php-cgi", "", unset, "/info", "env.php"},
		"PATH_INFO":       {unset, "", "/info", "/env.php/info", "/env.php/a b", "/a%20b", "/a b", "/dir/env.php/x/env.php", "/"},
		"PATH_TRANSLATED": {unset, unset, site + "/info", site + "/env.php", site + "/env.php/info", "", "redirect:/env.php/info", site + "/missing.php"},
		"REDIRECT_URL":    {unset, unset, "/env.php", "/env.php/info", ""},
		"DOCUMENT_ROOT":   {site, site + "/", unset, "", "/elsewhere"},
		"SERVER_SOFTWARE": {"nginx/1.22", "nginx/1.22", "Microsoft-IIS/10.0", unset},
		"REQUEST_URI":     {"/env.php/info?a=b"},
		"QUERY_STRING":    {"a=b"},
		"REQUEST_METHOD":  {"GET"},
		"X_FIRST":         {"1"},
		"ORIG_PATH_INFO":  {unset, unset, unset, "/given"},
	}
	names := slices.Sorted(maps.Keys(values))
	random := rand.New(rand.NewPCG(1, 2)) // the same cases each time
	var cases [][]string
	for _, fixed := range names {
		for _, value := range values[fixed] {
			for range 60 {
				var pairs []string
				order := slices.Clone(names)
				random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
				for _, name := range order {
					v := values[name][random.IntN(len(values[name]))]
					if name == fixed {
						v = value
					}
					if v != unset {
						pairs = append(pairs, name, v)
					}
				}
				cases = append(cases, pairs)
			}
		}
	}
	return cases
}
