package command

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

// runDoctorJSON runs doctor --json and returns its report.
func runDoctorJSON(t *testing.T, plan Planner, args ...string) (doctor.Report, error) {
	t.Helper()
	out, err := runWith(t, plan, append([]string{"doctor", "--json"}, args...)...)
	var report doctor.Report
	if jsonErr := json.Unmarshal([]byte(out), &report); jsonErr != nil {
		t.Fatalf("%v (%v):\n%s", jsonErr, err, out)
	}
	return report, err
}

// find returns the findings about a subject, which must be in the report.
func find(t *testing.T, r doctor.Report, kind, name string) []doctor.Finding {
	t.Helper()
	for _, s := range r.Subjects {
		if s.Kind == kind && s.Name == name {
			return s.Findings
		}
	}
	t.Errorf("the report has no subject %s %q", kind, name)
	return nil
}

// wantFinding fails unless a finding has the level and contains the text.
func wantFinding(t *testing.T, list []doctor.Finding, level doctor.Level, part string) {
	t.Helper()
	for _, f := range list {
		if f.Level == level && strings.Contains(f.Summary, part) {
			return
		}
	}
	t.Errorf("no %s with %q in %+v", level, part, list)
}

// fixedPlan returns a planner that returns these pools for any config.
func fixedPlan(pools ...doctor.Pool) Planner {
	return func(context.Context, []byte) ([]doctor.Pool, error) { return pools, nil }
}

func TestDoctor_RunningPools(t *testing.T) {
	report, err := runDoctorJSON(t, fixedPlan(), "--address", twoPools(t).address)
	if !errors.Is(err, errReported) || report.Problems == 0 {
		t.Errorf("got %v and %d problems", err, report.Problems)
	}
	wantFinding(t, find(t, report, "running pool", "a/b"), doctor.Problem, "cannot start a worker")
	wantFinding(t, find(t, report, "running pool", "quiet"), doctor.OK, "PHP 8.2.36, 2 workers of at most 16")
}

func TestDoctor_CaddyNotRunning(t *testing.T) {
	report, _ := runDoctorJSON(t, fixedPlan(), "--address", "127.0.0.1:1")
	wantFinding(t, find(t, report, "caddy", ""), doctor.Note, "no Caddy responds at 127.0.0.1:1")
	find(t, report, "system", "")
}

func TestDoctor_Config(t *testing.T) {
	a := newAdmin(t, map[string]string{"GET /php_pool/pools": "[]"})
	path := file(t, "caddy.json", `{"admin":{"listen":"`+a.address+`"}}`)
	var seen string
	report, _ := runDoctorJSON(t, func(_ context.Context, config []byte) ([]doctor.Pool, error) {
		seen = string(config)
		return []doctor.Pool{{Name: "x", User: "www-data", Workers: 3, StopTimeout: time.Second}, {Name: "y", Err: errors.New("workers -1 is wrong")}}, nil
	}, "--config", path)
	if !strings.Contains(seen, a.address) {
		t.Errorf("the planner got the config %q", seen)
	}
	wantFinding(t, find(t, report, "config", path), doctor.OK, "it uses 2 pools")
	wantFinding(t, find(t, report, "config", path), doctor.Note, "PHP scripts can load another config unless Caddy is root")
	wantFinding(t, find(t, report, "pool", "x"), doctor.OK, "PHP runs as www-data")
	wantFinding(t, find(t, report, "pool", "y"), doctor.Problem, "workers -1 is wrong")
	wantFinding(t, find(t, report, "caddy", "at "+a.address), doctor.Note, "no pools")

	report, _ = runDoctorJSON(t, fixedPlan(), "--config", path)
	wantFinding(t, find(t, report, "config", path), doctor.Note, "it has no php_pool")
}

// The admin endpoint is open to every user of the machine, so all users of the pools
// are named, with or without a config.
func TestDoctor_OpenAdminEndpoint(t *testing.T) {
	const note = "PHP scripts can load another config unless Caddy is root, although PHP runs as another user than Caddy (games, www-data)"
	pool := func(name, user string) string {
		return `{"name":"` + name + `","php":{"version":"8.2.36","user":"` + user + `"}}`
	}
	a := newAdmin(t, map[string]string{
		"GET /php_pool/pools":         "[" + pool("x", "www-data") + "," + pool("y", "games") + "," + pool("z", "") + "]",
		"GET /php_pool/pools/x":       pool("x", "www-data"),
		"GET /php_pool/pools/y":       pool("y", "games"),
		"GET /php_pool/pools/z":       pool("z", ""),
		"GET /php_pool/pools/default": pool("default", ""),
	})
	report, _ := runDoctorJSON(t, fixedPlan(), "--address", a.address)
	wantFinding(t, find(t, report, "caddy", "at "+a.address), doctor.Note, note)

	path := file(t, "caddy.json", `{"admin":{"listen":"`+a.address+`"}}`)
	pools := fixedPlan(doctor.Pool{Name: "x", User: "www-data"}, doctor.Pool{Name: "y", User: "games"}, doctor.Pool{Name: "z"})
	report, _ = runDoctorJSON(t, pools, "--config", path)
	wantFinding(t, find(t, report, "config", path), doctor.Note, note)

	// A socket in a directory that does not exist.
	path = file(t, "socket.json", `{"admin":{"listen":"unix/`+t.TempDir()+`/absent/admin.sock"}}`)
	report, _ = runDoctorJSON(t, pools, "--config", path)
	wantFinding(t, find(t, report, "config", path), doctor.Note, "absent/admin.sock does not exist, and Caddy does not create it")

	// Caddy's own user can do what Caddy can anyway.
	a = newAdmin(t, map[string]string{"GET /php_pool/pools": "[" + pool("z", "") + "]", "GET /php_pool/pools/z": pool("z", "")})
	report, _ = runDoctorJSON(t, fixedPlan(), "--address", a.address)
	for _, s := range report.Subjects {
		for _, f := range s.Findings {
			if strings.Contains(f.Summary, "PHP scripts can load another config") {
				t.Errorf("got %+v", f)
			}
		}
	}
}

func TestDoctor_ConfigInvalid(t *testing.T) {
	path := file(t, "caddy.json", `{"apps":{}}`)
	report, err := runDoctorJSON(t, func(_ context.Context, config []byte) ([]doctor.Pool, error) {
		if config == nil {
			return []doctor.Pool{{Name: "default"}}, nil
		}
		return nil, errors.New("the php_pool app: no such field")
	}, "--config", path, "--address", "127.0.0.1:1")
	wantFinding(t, find(t, report, "config", path), doctor.Problem, "no such field")
	find(t, report, "pool", "default")
	if !errors.Is(err, errReported) {
		t.Errorf("got %v", err)
	}
	report, _ = runDoctorJSON(t, fixedPlan(), "--config", path+".absent")
	wantFinding(t, find(t, report, "config", ""), doctor.Problem, "absent")
}

func TestDoctor_Text(t *testing.T) {
	if _, err := exec.LookPath("php-cgi"); err != nil && testing.Short() {
		t.Skip("needs php-cgi, which is missing: make test installs it")
	}
	out, err := runWith(t, fixedPlan(doctor.Pool{Name: "y", Err: errors.New("workers -1 is wrong")}), "doctor", "--address", "127.0.0.1:1")
	if !errors.Is(err, errReported) || !strings.Contains(out, "pool y\n  problem  workers -1 is wrong\n") ||
		!strings.Contains(out, "1 problem, ") {
		t.Errorf("got %v and\n%s", err, out)
	}
}
