package vhosts

import (
	"strings"
	"testing"
)

// convert returns the lines of the sites in files, with one pool at unix:/run/php.sock.
func convert(t *testing.T, f files, patterns ...string) *Result {
	t.Helper()
	c, err := Read(f, patterns)
	if err != nil {
		t.Fatal(err)
	}
	return c.Sites(func(address string) (string, []string, bool) { return "www", nil, address == "unix:/run/php.sock" })
}

// The main file of nginx includes the sites, and an upstream that follows them.
func TestSites_MainFile(t *testing.T) {
	result := convert(t, files{
		"/etc/nginx/nginx.conf": "user www-data;\nhttp {\ninclude /etc/nginx/sites/*;\ndeny 10.0.0.1;\nupstream php { server unix:/run/php.sock; }\n}\n",
		"/etc/nginx/sites/a":    "server { server_name a.example; root /srv/a; include php.conf; }\n",
		"/etc/nginx/php.conf":   "location ~ \\.php$ { fastcgi_pass php; }\n",
	}, "/etc/nginx/nginx.conf", "/etc/nginx/sites/*")
	text := strings.Join(result.Lines, "\n")
	if n := strings.Count(text, "\nhttp://a.example {"); n != 1 {
		t.Errorf("got %d sites, want one:\n%s", n, text)
	}
	if len(result.Lost) != 1 || !strings.HasPrefix(result.Lost[0], "/etc/nginx/nginx.conf:4: deny 10.0.0.1: NOT IMPORTED") {
		t.Errorf("got lost %q", result.Lost)
	}
}

func TestSites_Addresses(t *testing.T) {
	const php = "root /srv; location ~ \\.php$ { fastcgi_pass unix:/run/php.sock; }"
	for server, want := range map[string]string{
		"server_name a;":                                     "http://a {",
		"listen 443 ssl; server_name a b;":                   "a, b {",
		"listen 80; listen 443 ssl; server_name a;":          "http://a, a {",
		"listen 8443 ssl; server_name *.a.b;":                "https://*.a.b:8443 {",
		"listen [::]:81; server_name _;":                     ":81 {",
		"listen *:8080 default_server; server_name .x.test;": "http://x.test:8080, http://*.x.test:8080 {",
		"server_name ~^x www.*;":                             "",
	} {
		text := strings.Join(convert(t, files{"/a": "server { " + server + php + " }"}, "/a").Lines, "\n")
		found := ""
		for line := range strings.SplitSeq(text, "\n") {
			if strings.HasSuffix(line, " {") && !strings.HasPrefix(line, "\t") {
				found = line
			}
		}
		if found != want {
			t.Errorf("%s: got %q, want %q of\n%s", server, found, want, text)
		}
	}
}

// A pattern selects scripts only if it does so in every directory.
func TestPattern_Scripts(t *testing.T) {
	for pattern, want := range map[string]string{
		`\.php$`: ".php", `\.php(/|$)`: ".php", `[^/]\.php(/|$)`: ".php", `^(.+\.php)(.*)$`: ".php .php3 .php4 .php5 .php7 .php8",
		`\.(php|phtml|phar)$`: ".php .phtml .phar", `\.ph(?:ar|p|tml)$`: ".php .phtml .phar",
		`^/index\.php$`: "some .php", `^/(index|a)\.php(/|$)`: "some .php", `\.css$`: "", `.*`: "", `^/`: "", `(?!x)`: "", `(`: "",
	} {
		s, ok := selectScripts(pattern, true, false)
		got := strings.Join(s.exts, " ")
		if ok && !s.all {
			got = "some " + got
		}
		if got != want && (ok || want != "") {
			t.Errorf("%s: got %q, %v, want %q", pattern, got, ok, want)
		}
	}
}

// hide_sensitive has to hide all that a pattern selects.
func TestPattern_Hidden(t *testing.T) {
	for pattern, want := range map[string]bool{
		`/\.ht`: true, `/\.`: true, `/\.(?!well-known).*`: true, `(^|/)\.`: false, `^/\.git`: true, `.*/\.svn`: true, `\.phps$`: true,
		`\.ht`: false, `/\.ht|/private`: false, `/\.(git|svn)`: true, `/private/\.x`: false, `/\.well-known`: false, `\.sql$`: false, `/.`: false,
	} {
		if got := hidesPath(pattern); got != want {
			t.Errorf("%s: got %v", pattern, got)
		}
	}
	for pattern, want := range map[string]bool{`^\.ht`: true, `^\.`: true, `\.phps$`: true, `\.bak$`: false, `^.ht`: false, `^\.ht|x`: false} {
		if got := hidesName(pattern); got != want {
			t.Errorf("%s: got %v", pattern, got)
		}
	}
}

func TestSites_Unreadable(t *testing.T) {
	for text, want := range map[string]string{
		"server { listen 80 }":                    "/a:1: listen 80 has no semicolon",
		"\nserver {\nlisten 80;":                  "the { of line 2 is not closed",
		"server { } }":                            "/a:1: a } without a {",
		"root \"/srv;":                            "/a:1: a quote is not closed",
		"include a; ;":                            "more than 10 times",
		"<VirtualHost *:80>\nDocumentRoot /srv\n": "/a:1: <virtualhost> is not closed",
		"<A>\n</B>\n":                             "/a:2: </b> closes no section of that name",
	} {
		_, err := Read(files{"/a": text}, []string{"/a"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}
