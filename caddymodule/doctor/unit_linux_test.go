package doctor

import (
	"testing"
	"time"
)

func TestUnit_DropIns(t *testing.T) {
	admin, vendor := t.TempDir(), t.TempDir()
	dirs := []string{admin, vendor}
	if u := findUnit(dirs); u != nil {
		t.Errorf("no unit: got %+v", u)
	}
	path := write(t, vendor, "caddy.service", "[Unit]\nKillMode=process\n[Service]\nUser=caddy\n# KillMode=none\nTimeoutStopSec=5s\n")
	write(t, vendor, "caddy.service.d/20-b.conf", "[Service]\nTimeoutStopSec = 2min\n")
	write(t, vendor, "caddy.service.d/10-a.conf", "[Service]\nTimeoutStopSec=7\n")
	write(t, admin, "caddy.service.d/20-b.conf", "[Service]\nUser=www\n")
	u := findUnit(dirs)
	if u == nil || u.path != path || u.service["KillMode"] != "" || u.service["User"] != "www" || u.service["TimeoutStopSec"] != "7" {
		t.Fatalf("got %+v", u)
	}
	own := write(t, admin, "caddy.service", "[Service]\nKillMode=mixed\n")
	if u := findUnit(dirs); u.path != own || u.service["KillMode"] != "mixed" {
		t.Errorf("got %+v", u)
	}
}

func TestUnit_Findings(t *testing.T) {
	pools := []Pool{{Name: "x", StopTimeout: 4 * time.Second}}
	for name, c := range map[string]struct {
		service      map[string]string
		level        Level
		text, remedy string
	}{
		"kill mode":   {map[string]string{}, Note, "lacks KillMode=mixed", "systemctl edit caddy"},
		"mixed":       {map[string]string{"KillMode": "mixed"}, OK, "KillMode=mixed", ""},
		"user":        {map[string]string{"User": "nobody"}, Note, "runs Caddy as nobody", "sudo -u nobody caddy php-pool doctor"},
		"short stop":  {map[string]string{"TimeoutStopSec": "4"}, Note, "gives Caddy 4s to stop, and pool x gives its requests 4s", ""},
		"no writable": {map[string]string{"MemoryDenyWriteExecute": "yes"}, Problem, "JIT", "pcre.jit 0"},
	} {
		t.Run(name, func(t *testing.T) {
			var f findings
			f.unit(&unit{path: "caddy.service", service: c.service}, pools)
			wantFinding(t, f, c.level, c.text, c.remedy)
		})
	}
	users := []Pool{{Name: "a", User: "shop", SetsUser: true}, {Name: "b", User: "www-data"}, {Name: "c", User: "caddy", SetsUser: true}}
	for user, problems := range map[string]int{"caddy": 1, "root": 0, "": 0, "www-data": 2} {
		var f findings
		f.unitUser(&unit{path: "caddy.service", service: map[string]string{"User": user}}, users)
		if len(f) != problems {
			t.Errorf("unit of user %q: got\n%s", user, format(f))
		}
		if user == "caddy" {
			wantFinding(t, f, Problem, "runs Caddy as caddy, which cannot start PHP as shop (pool a)", "systemctl edit caddy")
		}
	}
	capable := &unit{service: map[string]string{"User": "caddy"}}
	for i, text := range []string{"CAP_NET_BIND_SERVICE", "CAP_SETUID cap_setgid", "CAP_KILL"} { // systemd merges them
		capable.read("[Service]\nAmbientCapabilities=" + text + "\n")
		var f findings
		f.unitUser(capable, users)
		if refused := len(f) > 0; refused != (i < 2) {
			t.Errorf("after AmbientCapabilities=%s: got\n%s", text, format(f))
		}
	}
	var f findings
	f.unit(&unit{service: map[string]string{"KillMode": "mixed", "TimeoutStopSec": "5s", "MemoryDenyWriteExecute": "no"}}, pools)
	if len(f) != 1 {
		t.Errorf("got:\n%s", format(f))
	}
	f = nil
	if f.unit(nil, pools); len(f) > 0 {
		t.Errorf("without a unit: got:\n%s", format(f))
	}
}
