//go:build linux

package security

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// needsRoot skips a test that runs PHP as other users.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
}

// ids returns the user and group ID of a user.
func ids(t *testing.T, name string) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid
}

// customer is one of two users who share a machine.
type customer struct {
	*harness.Server
	name, root string
}

// customers are the users of the two sites that twoSites has.
var customers = []string{"www-data", "nobody"}

// twoSites is a Caddyfile with a site for each of two customers, in DIR/<user>;
// own are the options of each pool.
func twoSites(b harness.Backend, own ...string) string {
	var text strings.Builder
	for i, name := range customers {
		fmt.Fprintf(&text, "http://127.0.0.1:{$PORT%s} {\nphp_pool {\nroot {$DIR}/%s\nname %s\nworkers 1\nuser %s\n%s\n%s\n}\n}\n",
			[]string{"", "2"}[i], name, name, name, strings.Join(b.Lines, "\n"), strings.ReplaceAll(strings.Join(own, "\n"), "CUSTOMER", name))
	}
	return text.String()
}

// twoCustomers prepares the roots of twoSites, each accessible to its owner only.
func twoCustomers(t *testing.T, b harness.Backend, opts ...harness.Options) (*harness.Server, []customer) {
	t.Helper()
	needsRoot(t)
	s := harness.Prepare(t, b, opts...)
	group := func(gid int) (int, os.FileMode) { return gid, 0o700 }
	if s.Options.RunAs == harness.AsCapable { // it has to be able to read the sites
		group = func(int) (int, os.FileMode) { return harness.CapableUID, 0o750 }
	}
	var list []customer
	for i, name := range customers {
		c := customer{Server: s, name: name, root: filepath.Join(s.Dir, name)}
		harness.CopyTree(t, c.root, "testdata/customer")
		harness.WriteFile(t, c.root+"/secret.txt", "the secret of "+name)
		uid, gid := ids(t, name)
		gid, mode := group(gid)
		harness.Chown(t, c.root, uid, gid)
		if err := os.Chmod(c.root, mode); err != nil {
			t.Fatal(err)
		}
		at := *s
		at.URL = fmt.Sprintf("http://127.0.0.1:%d", s.Port+i)
		c.Server = &at
		list = append(list, c)
	}
	return s, list
}

// query runs a script of the customer and decodes its JSON.
func (c customer) query(script string, query url.Values, to any) {
	c.T.Helper()
	res := c.Get("/" + script + "?" + query.Encode())
	res.Want(c.T, 200, "")
	if err := json.Unmarshal([]byte(res.Text), to); err != nil {
		c.T.Fatalf("%s: %v in %.300q", script, err, res.Text)
	}
}

// TestUser_PoolsCannotReachEachOther has a script try to access the pool of another
// user, and its own pool, where it has to succeed.
func TestUser_PoolsCannotReachEachOther(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s, list := twoCustomers(t, b)
		if err := s.Run(twoSites(b, "process_env OWN_SECRET environment-of-CUSTOMER")); err != nil {
			t.Fatal(err)
		}
		pids := map[string]string{}
		for _, c := range list {
			var state map[string]string
			c.query("state.php", nil, &state)
			pids[c.name] = state["Pid"]
		}
		for _, me := range list {
			for _, other := range list {
				own := me.name == other.name
				var done map[string]any
				me.query("neighbour.php", url.Values{
					"pid": {pids[other.name]}, "dir": {other.root}, "file[secret]": {other.root + "/secret.txt"}, "file[script]": {other.root + "/state.php"},
				}, &done)
				for what, got := range done {
					if can, ok := got.(bool); ok && can != (own || what == "opens stat") {
						t.Errorf("%s and the pool of %s: %s: %t", me.name, other.name, what, can)
					}
				}
				if environment := fmt.Sprint(done["environment"]); strings.Contains(environment, "environment-of-"+other.name) != own {
					t.Errorf("%s sees of %s the environment %q", me.name, other.name, environment)
				}
				if done["sockets"].(float64) < 2 {
					t.Errorf("%s looked for sockets and found %v", me.name, done["sockets"])
				}
				if connects := done["connects"].([]any); len(connects) > 0 {
					t.Errorf("%s connects to %v", me.name, connects)
				}
			}
		}
	})
}

// TestUser_ProcessAttributes checks the attributes of a worker, and runs a set-user-ID
// program from PHP.
func TestUser_ProcessAttributes(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		for option, want := range map[string]map[string]string{
			"": {"NoNewPrivs": "0", "core": "0 0", "helper": "0"},
			"no_new_privs\numask 027\noom_score_adj 700\nnice 19": {
				"NoNewPrivs": "1", "umask": "0027", "oom_score_adj": "700", "nice": "19", "core": "0 0", "helper": "33",
			},
		} {
			s, list := twoCustomers(t, b)
			helper := filepath.Join(s.Dir, "id")
			id, err := exec.LookPath("id")
			if err != nil {
				t.Fatal(err)
			}
			harness.WriteFile(t, helper, harness.ReadFile(t, id))
			if err := os.Chmod(helper, os.ModeSetuid|0o755); err != nil {
				t.Fatal(err)
			}
			if err := s.Run(twoSites(b, option)); err != nil {
				t.Fatal(err)
			}
			own := status(t, s.PID)
			if option == "" { // then Caddy's values count
				score, err := strconv.Atoi(strings.TrimSpace(harness.ReadFile(t, fmt.Sprintf("/proc/%d/oom_score_adj", s.PID))))
				if err != nil {
					t.Fatal(err)
				}
				want["umask"], want["oom_score_adj"] = own["Umask"], strconv.Itoa(min(score+500, 1000))
			}
			var state map[string]string
			list[0].query("state.php", url.Values{"helper": {helper}}, &state)
			for name, value := range want {
				if state[name] != value {
					t.Errorf("%q: %s: got %q, want %q", option, name, state[name], value)
				}
			}
			wantNoCapabilities(t, state)
			if own["NoNewPrivs"] != "0" || own["Umask"] == "0027" || own["CapEff"] == noCapabilities {
				t.Errorf("Caddy itself was changed: %v", own)
			}
		}
	})
}

const noCapabilities = "0000000000000000"

func wantNoCapabilities(t *testing.T, state map[string]string) {
	t.Helper()
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		if state[set] != noCapabilities {
			t.Errorf("PHP has %s %s", set, state[set])
		}
	}
}

// status returns the fields of /proc/PID/status.
func status(t *testing.T, pid int) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for line := range strings.Lines(harness.ReadFile(t, fmt.Sprintf("/proc/%d/status", pid))) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

// TestUser_CapabilitiesAreDropped runs Caddy as its systemd unit does:
// as a user with two ambient capabilities (AmbientCapabilities=).
func TestUser_CapabilitiesAreDropped(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	uid, gid := ids(t, "nobody")
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b, harness.Options{UID: uint32(uid), Ambient: []uintptr{unix.CAP_NET_BIND_SERVICE, unix.CAP_NET_ADMIN}})
		harness.CopyTree(t, s.Site, "testdata/customer")
		harness.Chown(t, s.Dir, uid, gid)
		if err := s.Run(harness.PoolSite(b, "workers 1")); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("%016x", 1<<unix.CAP_NET_BIND_SERVICE|1<<unix.CAP_NET_ADMIN)
		if own := status(t, s.PID); own["CapEff"] != want || own["CapAmb"] != want || own["CapInh"] != want {
			t.Fatalf("Caddy has CapEff %s, CapAmb %s and CapInh %s, want %s", own["CapEff"], own["CapAmb"], own["CapInh"], want)
		}
		c := customer{Server: s}
		for range 2 { // the second one is served by another worker
			var state map[string]string
			c.query("state.php", nil, &state)
			wantNoCapabilities(t, state)
			if got := strings.Fields(state["Uid"])[0]; got != strconv.Itoa(uid) {
				t.Errorf("PHP runs as %s", got)
			}
			s.Admin("DELETE", fmt.Sprintf("/php_pool/pools/main/workers/%d", s.Pool().List[0].ID), "")
		}
		// PHP has fewer capabilities than Caddy, so it may not read Caddy's memory,
		// although it is the same user (security/commoncap.c, cap_ptrace_access_check).
		var done map[string]any
		c.query("neighbour.php", url.Values{"pid": {strconv.Itoa(s.PID)}, "dir": {s.Site}, "file[own]": {s.Site + "/state.php"}}, &done)
		if done["opens environ"] != false || done["opens mem"] != false || done["reads own"] != true {
			t.Errorf("PHP can do to Caddy: %v", done)
		}
	})
}

// TestUser_RequiresRoot starts Caddy without the right to switch users. There is one
// clear error, and none from caddy validate, which is often run as another user.
func TestUser_RequiresRoot(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	uid, gid := ids(t, "nobody")
	for _, line := range []string{"user www-data", "user nobody:www-data"} {
		s := harness.Prepare(t, harness.SharedLean, harness.Options{UID: uint32(uid)})
		harness.Chown(t, s.Dir, uid, gid)
		site := harness.PoolSite(harness.SharedLean, "workers 1", line)
		harness.WriteFile(t, filepath.Join(s.Dir, "Caddyfile"), s.Config(site))
		c := s.Command("validate", "--config", filepath.Join(s.Dir, "Caddyfile"))
		c.Log = filepath.Join(s.Dir, "validate.log")
		if code, ok := harness.Supervise(t, c).Wait(harness.MaxWait); code != 0 || !ok {
			t.Errorf("%s: caddy validate: got code %d, ended %t:\n%s", line, code, ok, harness.ReadFile(t, c.Log))
		}
		err := s.Run(site)
		if err == nil {
			t.Fatal(line, "was accepted")
		}
		harness.WantMessage(t, err, []string{line, "does not run as root", "lacks CAP_SETUID, CAP_SETGID, CAP_KILL", "AmbientCapabilities=", "remove user"})
		if strings.Contains(err.Error(), "operation not permitted") {
			t.Errorf("Caddy tried to switch the user: %v", err)
		}
	}
}

// TestUser_SameAsCaddy names the user that Caddy runs as, which needs no privilege.
func TestUser_SameAsCaddy(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	uid, gid := ids(t, "nobody")
	s := harness.Prepare(t, harness.SharedLean, harness.Options{UID: uint32(uid)})
	harness.Chown(t, s.Dir, uid, gid)
	if err := s.Run(harness.PoolSite(harness.SharedLean, "workers 1", "user nobody")); err != nil {
		t.Fatal(err)
	}
	s.Get("/hello.php").Want(t, 200, "hello\n")
}

// TestUser_SameAsCaddyWarning checks the warning about what scripts can read.
func TestUser_SameAsCaddyWarning(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	const warning = "PHP runs as the same user as Caddy"
	uid, gid := ids(t, "nobody")
	two := "http://127.0.0.1:{$PORT2} {\nroot {$SITE}\nphp_pool {\nname second\nworkers 1\nconfine off\n}\n}\n"
	s := harness.Prepare(t, harness.SharedLean, harness.Options{UID: uint32(uid)})
	harness.Chown(t, s.Dir, uid, gid)
	if err := s.Run(harness.PoolSite(harness.SharedLean, "workers 1", "confine off") + two); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(s.Log(), warning); n != 1 {
		t.Errorf("got %d warnings, want one for both pools", n)
	}
	for _, word := range []string{"TLS keys", "environment", `"main"`, `"second"`} {
		if !s.HasLogged(word) {
			t.Errorf("the warning does not name %s", word)
		}
	}
	if other := harness.Start(t, harness.SharedLean, harness.PlainSite); other.HasLogged(warning) {
		t.Error("got a warning although PHP runs as another user")
	}
}
