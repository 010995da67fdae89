package caddymodule

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// FuzzCaddyfile parses any block of options. It expects an error that has the
// position, or options that JSON preserves.
func FuzzCaddyfile(f *testing.F) {
	f.Add("max_memory 64MiB\nspool_max 1e400\nmax_body 99999999999GiB")
	f.Add("max_requests 1000 100\nmax_workers auto\nnice -20\nrlimit_nofile 1024")
	f.Add("quarantine 3 1m 1m\nidle_timeout 10d\nrequest_timeout off\nmaster_idle_timeout 0")
	f.Add("ini {\n\tmemory_limit 128M\n}\nini a b\nprocess_env A \"b c\"\nwarmup / /a\nindex off\nenv A {http.x}")
	f.Add("max_age 999999h\nspool_max -1\nrequest_buffers 1PiB\numask 999\nuser a:b")
	f.Fuzz(func(t *testing.T, text string) {
		options := "php_pool {\n" + text + "\n}"
		tokens, err := caddyfile.Tokenize([]byte(options), "Caddyfile")
		if err != nil || len(tokens) > 1000 || strings.Contains(text, "import") {
			return
		}
		d := caddyfile.NewDispenser(tokens)
		var o poolcfg.Options
		for d.Next(); d.NextBlock(0); {
			name := d.Val()
			parse := poolOptionParser(name)
			if parse == nil {
				parse = func(d *caddyfile.Dispenser, _ *poolcfg.Options) error {
					if parse, ok := backendOptions[name]; ok {
						return parse(d, new(Backend))
					}
					return nil
				}
			}
			segment := caddyfile.NewDispenser(d.NextSegment())
			segment.Next()
			if err := parse(segment, &o); err != nil {
				if !strings.Contains(err.Error(), "Caddyfile:") {
					t.Errorf("an error without a position: %v", err)
				}
				return
			}
		}
		if o.MaxMemory < -1 || o.SpoolMax < -1 {
			t.Errorf("sizes are %d and %d", o.MaxMemory, o.SpoolMax)
		}
		written, err := json.Marshal(&o)
		if err != nil {
			t.Fatal(err)
		}
		var again poolcfg.Options
		if err := json.Unmarshal(written, &again); err != nil || !o.Equal(&again) {
			t.Errorf("%s is read as %+v, %v", written, again, err)
		}
	})
}
