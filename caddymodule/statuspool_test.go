package caddymodule

import (
	"strings"
	"testing"
)

func TestNameFromRoot(t *testing.T) {
	for root, want := range map[string]string{
		"/srv/www": "srv-www", `C:\site`: "C-site", "/srv//a b/": "srv-a-b", "/": "site", "": "site", "/srv/www.example_1.com": "srv-www.example_1.com",
		"/srv/{env.SITE}": "srv-env.SITE",
	} {
		if got := nameFromRoot("", root); got != want {
			t.Errorf("%s: got %q, want %q", root, got, want)
		}
	}
}

// php_pool_status and php_pool_ping show the pool of their site, or the only one.
// The order of the directives does not matter, nor how they are nested.
func TestStatusPool_Caddyfile(t *testing.T) {
	const own = "php_pool {\nroot /srv/www\nworkers 2\n}\n"
	for name, c := range map[string]struct {
		caddyfile string
		want      string // part of the error; "" for none
	}{
		"no options":        {"http://localhost:8001 {\nphp_pool\nphp_pool_status /status\nphp_pool_ping /ping\n}\n", ""},
		"options":           {"http://localhost:8001 {\n" + own + "php_pool_status /status\nphp_pool_ping /ping\n}\n", ""},
		"before":            {"http://localhost:8001 {\nphp_pool_status /status\nphp_pool_ping /ping\n" + own + "}\n", ""},
		"the name":          {"http://localhost:8001 {\nphp_pool_status /status srv-www\n" + own + "}\n", ""},
		"handle blocks":     {"http://localhost:8001 {\nhandle /status {\nphp_pool_status\n}\nhandle {\n" + own + "}\n}\n", ""},
		"no host":           {":8001 {\nhandle /status {\nphp_pool_status\n}\nhandle {\n" + own + "}\n}\n:8002 {\nphp_pool_ping /ping\nphp_pool\n}\n", ""},
		"a snippet":         {"(php) {\nphp_pool_status /status\nphp_pool {\nroot {args[0]}\nworkers 1\n}\n}\nhttp://a.test:8001 {\nimport php /srv/a\n}\nhttp://b.test:8001 {\nimport php /srv/b\n}\n", ""},
		"a named route":     {"&(php) {\n" + own + "}\nhttp://a.test:8001 {\ninvoke php\nphp_pool_status /status\n}\nhttp://b.test:8001 {\nphp_pool\nphp_pool_status /status\n}\n", ""},
		"a global pool":     {"{\nphp_pool {\npool shop {\nworkers 2\n}\n}\n}\nhttp://a.test:8001 {\nphp_pool_ping /ping\nphp_pool {\npool shop\n}\n}\nhttp://b.test:8001 {\nphp_pool\nphp_pool_ping /ping\n}\n", ""},
		"an error page":     {":8001 {\nphp_pool_ping /ping\nhandle_errors {\n" + own + "}\n}\n", ""},
		"a transport":       {"http://localhost:8001 {\nphp_pool_ping /ping\nreverse_proxy php:9000 {\ntransport php_pool {\nroot /srv/www\n}\n}\n}\n", ""},
		"options of proxy":  {"http://localhost:8001 {\nphp_pool_ping /ping\nphp_pool {\nname x\nheader_down X-A b\n}\n}\n", ""},
		"the only pool":     {"http://a.test:8001 {\n" + own + "}\nhttp://monitor.test:8002 {\nphp_pool_status\n}\n", ""},
		"several sites":     {"http://a.test:8001 {\n" + own + "}\nhttp://b.test:8001 {\nphp_pool\n}\nhttp://monitor.test:8001 {\nphp_pool_status /status\n}\n", "it needs the name of a pool, because its site has no php_pool: there are default, srv-www"},
		"several ports":     {"http://a.test:8001 {\n" + own + "}\nhttp://b.test:8002 {\nphp_pool\n}\nhttp://monitor.test:8003 {\nphp_pool_ping /ping\n}\n", "it needs the name of a pool, because its site has no php_pool: there are default, srv-www"},
		"several in a site": {"http://localhost:8001 {\nphp_pool_status /status\nphp_pool /blog/*\n" + own + "}\n", "it needs the name of a pool, because its site has more than one: there are default, srv-www"},
		"one of several":    {"http://localhost:8001 {\nphp_pool_status /status srv-www\nphp_pool /blog/*\n" + own + "}\n", ""},
		"a wrong name":      {"http://localhost:8001 {\nphp_pool_status /status typo\n" + own + "}\n", "there is no pool typo: there is srv-www"},
		"no default":        {"http://localhost:8001 {\n" + own + "php_pool_ping /ping default\n}\n", "there is no pool default: there is srv-www"},
		"an unused pool":    {"{\nphp_pool {\npool shop {\nworkers 2\n}\n}\n}\nhttp://localhost:8001 {\nphp_pool\nphp_pool_ping /ping shop\n}\n", "pool shop does not run, because no php_pool uses it: write pool shop in the block of a php_pool"},
		"a range":           {"http://localhost:8001 {\n" + own + "php_pool_ping /ping {\nallow {env.STATUSPOOL_NOT_SET}\n}\n}\n", "allow: {env.STATUSPOOL_NOT_SET} has no value"},
		"all pools":         {"http://a.test:8001 {\n" + own + "}\nhttp://b.test:8002 {\nphp_pool\n}\nhttp://monitor.test:8003 {\nphp_pool_ping /ready *\n}\n", ""},
		"all for status":    {"http://localhost:8001 {\n" + own + "php_pool_status /status *\n}\n", "php_pool_status shows one pool, not *: there is srv-www"},
		"private ranges":    {"http://localhost:8001 {\n" + own + "php_pool_ping /ping {\nallow private_ranges all\n}\nphp_pool_status {\nallow private_ranges 192.0.2.1\n}\n}\n", ""},
		"a wrong range":     {"http://localhost:8001 {\n" + own + "php_pool_ping /ping {\nallow private\n}\n}\n", "allow private: write an IP address, a range such as 10.0.0.0/8, private_ranges or all"},
		"no pool":           {"http://localhost:8001 {\nphp_pool_status /status\n}\n", "there is no pool to show: write php_pool in a site"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // Caddy provisions servers in the order of a map
				got := validate(t, c.caddyfile)
				if c.want == "" && got != "" || !strings.Contains(got, c.want) {
					t.Fatalf("got %q, want %q", got, c.want)
				}
			}
		})
	}
}
