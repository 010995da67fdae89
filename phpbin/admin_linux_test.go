package phpbin_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// changed is the output of testdata/admin.php.
type changed struct {
	Given, Now string
	Set        any
}

func TestAdminINI_ScriptsCannotChange(t *testing.T) {
	dirs, err := phpbin.TopLevelDirs()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := options(t)
			o.INI = ini("user_agent", "overridden", "memory_limit", "99M").INI
			l := startLauncher(t, kind, withAdmin(o, dirs, "user_agent", "it's; final", "memory_limit", "77M"))
			// In single mode each worker is a new php-cgi, in shared mode a fork.
			for range 2 {
				p := mustLaunch(t, l)
				for name, want := range map[string]string{"user_agent": "it's; final", "memory_limit": "77M"} {
					var got changed
					body := run(t, p, "admin.php", url.Values{"name": {name}, "to": {"88M"}})
					if err := json.Unmarshal([]byte(body), &got); err != nil {
						t.Fatalf("%v in %s", err, body)
					}
					if got.Given != want || got.Set != false || got.Now != want {
						t.Errorf("%s: got %+v, want %s", name, got, want)
					}
				}
			}
		})
	}
}

func TestOOMScoreAdj(t *testing.T) {
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	own, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		option *int
		want   int
	}{"default": {nil, min(own+500, 1000)}, "configured": {new(321), 321}} {
		for _, kind := range kinds {
			t.Run(name+", "+kind, func(t *testing.T) {
				o := options(t)
				o.Credential, o.OOMScoreAdj = wwwData(t), c.option
				l := startLauncher(t, kind, o)
				p := mustLaunch(t, l)
				pgid := groupOf(t, p.PID())
				for _, pid := range group(pgid) {
					dir := filepath.Join("/proc", strconv.Itoa(pid))
					command, _ := os.ReadFile(dir + "/cmdline")
					want := c.want
					if strings.Contains(string(command), "watchdog") {
						want = own
					}
					if got, err := os.ReadFile(dir + "/oom_score_adj"); strings.TrimSpace(string(got)) != strconv.Itoa(want) {
						t.Errorf("%s: got %s, want %d, %v", command, got, want, err)
					}
				}
			})
		}
	}
}
