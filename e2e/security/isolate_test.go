//go:build linux

package security

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime/multipart"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// stateDir is the directory for the files of isolated pools.
func stateDir(s *harness.Server) string { return filepath.Join(s.Dir, "state") }

func prepareIsolated(t *testing.T, b harness.Backend) (*harness.Server, []customer) {
	t.Helper()
	s, list := twoCustomers(t, b)
	s.Options.Env = []string{"STATE_DIRECTORY=" + stateDir(s)}
	for i := range list {
		list[i].Options.Env = s.Options.Env
	}
	return s, list
}

// TestIsolate_ConfinesPoolToItsSite checks everything that isolate restricts.
func TestIsolate_ConfinesPoolToItsSite(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s, list := prepareIsolated(t, b)
		if err := s.Run(twoSites(b, "isolate")); err != nil {
			t.Fatal(err)
		}
		for i, c := range list {
			uid, gid := ids(t, c.name)
			private := fmt.Sprintf("%s/php_pool/%s@%d", stateDir(s), c.name, uid)
			other := list[1-i]
			// Only open_basedir prevents access now.
			if err := os.Chmod(other.root, 0o755); err != nil {
				t.Fatal(err)
			}
			var got undone
			c.query("undo.php", url.Values{
				"settings[open_basedir]": {"/"}, "settings[session.save_path]": {"/tmp"}, "settings[upload_tmp_dir]": {"/tmp"},
				"settings[sys_temp_dir]": {"/tmp"}, "settings[enable_dl]": {"1"}, "settings[ffi.enable]": {"1"}, "settings[disable_functions]": {""},
				"functions[]": strings.Split("exec,shell_exec,system,passthru,popen,proc_open,pcntl_exec,pcntl_fork,putenv,symlink,link,posix_kill,posix_setsid,posix_setpgid,posix_mknod,mail", ","),
				"files[]":     {c.root + "/secret.txt", other.root + "/state.php", other.root + "/included.php", "/etc/passwd", "/proc/self/environ"},
				"include":     {other.root + "/included.php"},
				"session":     {"1"}, "write": {c.root + "/written"},
			}, &got)
			for name, is := range got.Settings {
				if is[1] != false || is[0] != is[2] {
					t.Errorf("%s: before, by ini_set and after: got %v", name, is)
				}
			}
			for name, want := range map[string]string{
				"open_basedir": c.root + ":" + private, "session.save_path": private + "/sessions", "enable_dl": "0", "ffi.enable": "0",
				"upload_tmp_dir": private + "/tmp", "sys_temp_dir": private + "/tmp",
			} {
				if got.Settings[name][0] != want {
					t.Errorf("%s: got %v, want %s", name, got.Settings[name][0], want)
				}
			}
			for name, there := range got.Functions {
				if there != (name == "mail") {
					t.Errorf("function %s: %t", name, there)
				}
			}
			for file, read := range got.Files {
				if read != (file == c.root+"/secret.txt") {
					t.Errorf("%s reads %s: %t", c.name, file, read)
				}
			}
			if got.Include {
				t.Errorf("%s runs a script of %s", c.name, other.name)
			}
			if got.Temp != private+"/tmp" || got.TMPDIR != private+"/tmp" || got.Session[:strings.LastIndex(got.Session, "/")] != private+"/sessions" {
				t.Errorf("temporary files in %s (TMPDIR %s), the session is %s", got.Temp, got.TMPDIR, got.Session)
			}
			if uploaded := c.upload(); len(uploaded) != 1 || uploaded[0] != private+"/tmp" {
				t.Errorf("an upload is stored in %v", uploaded)
			}
			wantOwner(t, got.Session, uid, gid, 0o600)
			wantOwner(t, c.root+"/written", uid, gid, 0o640)
			caddy := int(s.Options.UID)
			wantOwner(t, private, caddy, caddy, 0o711)
			for _, dir := range []string{private + "/tmp", private + "/sessions"} {
				if s.Options.RunAs == harness.AsCapable { // which cannot give it away
					wantOwner(t, dir, caddy, caddy, 0o770) // the group's are the mask of the list
					wantACL(t, dir, "u::7 u:"+fmt.Sprint(uid)+":7 g::0 m::7 o::0")
					continue
				}
				wantOwner(t, dir, uid, gid, 0o700)
			}
		}
	})
}

// upload sends a file, and returns the directory where PHP stored it.
func (c customer) upload() []string {
	c.T.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, _ := form.CreateFormFile("file", "a.txt")
	part.Write([]byte("content"))
	form.Close()
	var got undone
	res := c.Do(c.Request("POST", "/undo.php", &body, "Content-Type: "+form.FormDataContentType()))
	if err := json.Unmarshal([]byte(res.Text), &got); err != nil {
		c.T.Errorf("%v in %s", err, res.Text)
	}
	return got.Uploaded
}

func wantOwner(t *testing.T, path string, uid, gid int, mode fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
		return
	}
	st := info.Sys().(*syscall.Stat_t)
	if int(st.Uid) != uid || int(st.Gid) != gid || info.Mode().Perm() != mode {
		t.Errorf("%s is of %d:%d with mode %o, want %d:%d and %o", path, st.Uid, st.Gid, info.Mode().Perm(), uid, gid, mode)
	}
}

// wantACL compares the access control list of a file (acl(5)), with permissions as
// numbers.
func wantACL(t *testing.T, path, want string) {
	t.Helper()
	b := make([]byte, 512)
	n, err := unix.Getxattr(path, "system.posix_acl_access", b)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	kinds := map[uint16]string{1: "u", 2: "u", 4: "g", 8: "g", 16: "m", 32: "o"}
	var list []string
	for b = b[4:n]; len(b) >= 8; b = b[8:] {
		id := ""
		if kind := binary.LittleEndian.Uint16(b); kind == 2 || kind == 8 {
			id = fmt.Sprint(binary.LittleEndian.Uint32(b[4:]))
		}
		list = append(list, fmt.Sprintf("%s:%s:%d", kinds[binary.LittleEndian.Uint16(b)], id, binary.LittleEndian.Uint16(b[2:])))
	}
	if got := strings.Join(list, " "); got != want {
		t.Errorf("%s has the access control list %s, want %s", path, got, want)
	}
}

// TestIsolate_NoNewPrivileges allows shell_exec by admin_ini.
func TestIsolate_NoNewPrivileges(t *testing.T) {
	t.Parallel()
	s, list := prepareIsolated(t, harness.SharedLean)
	if err := s.Run(twoSites(harness.SharedLean, "isolate", `admin_ini disable_functions ""`, `admin_ini open_basedir ""`)); err != nil {
		t.Fatal(err)
	}
	var state map[string]string
	list[0].query("state.php", url.Values{"helper": {"/usr/bin/id"}}, &state)
	if state["NoNewPrivs"] != "1" || state["umask"] != "0027" || state["helper"] != "33" {
		t.Errorf("got %v", state)
	}
}

// TestIsolate_SessionsSurviveRestart stops Caddy and starts it again.
func TestIsolate_SessionsSurviveRestart(t *testing.T) {
	t.Parallel()
	s, list := prepareIsolated(t, harness.SharedLean)
	if err := s.Run(twoSites(harness.SharedLean, "isolate")); err != nil {
		t.Fatal(err)
	}
	browser := harness.NewBrowserClient(t)
	countVisit := func() (got undone) {
		res := harness.Do(t, browser, list[0].Request("GET", "/undo.php?session=1", nil))
		if err := json.Unmarshal([]byte(res.Text), &got); err != nil {
			t.Fatalf("%v in %s", err, res.Text)
		}
		return got
	}
	if got := countVisit(); got.Seen != 1 {
		t.Errorf("the first visit is number %d", got.Seen)
	}
	s.Stop(syscall.SIGTERM)
	s.Stopped = false
	if err := os.Truncate(filepath.Join(s.Dir, "caddy.log"), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(twoSites(harness.SharedLean, "isolate")); err != nil {
		t.Fatal(err)
	}
	if got := countVisit(); got.Seen != 2 {
		t.Errorf("the visit after a restart is number %d", got.Seen)
	}
}

// TestIsolate_SymlinkedRelease points the symbolic link that is the root to another
// release.
func TestIsolate_SymlinkedRelease(t *testing.T) {
	t.Parallel()
	s, list := prepareIsolated(t, harness.SharedLean)
	c := list[0]
	uid, gid := ids(t, c.name)
	for _, release := range []string{"1", "2"} {
		dir := filepath.Join(s.Dir, "releases", release)
		harness.CopyTree(t, dir, "testdata/customer")
		harness.WriteFile(t, dir+"/hello.php", "<?php echo file_get_contents(__DIR__ . '/release.txt');")
		harness.WriteFile(t, dir+"/release.txt", release)
		harness.Chown(t, dir, uid, gid)
	}
	if err := os.RemoveAll(c.root); err != nil {
		t.Fatal(err)
	}
	harness.Symlink(t, filepath.Join(s.Dir, "releases", "1"), c.root)
	if err := s.Run(twoSites(harness.SharedLean, "isolate")); err != nil {
		t.Fatal(err)
	}
	c.Get("/hello.php").Want(t, 200, "1")
	harness.Symlink(t, filepath.Join(s.Dir, "releases", "2"), c.root)
	c.Get("/hello.php").Want(t, 200, "2")
	var got undone
	c.query("undo.php", url.Values{"files[]": {filepath.Join(s.Dir, "releases", "1", "release.txt")}}, &got)
	for file, read := range got.Files {
		if read {
			t.Errorf("%s of another release can be read", file)
		}
	}
}

// TestIsolate_InvalidConfigs checks the errors of configurations in which isolate has
// no effect.
func TestIsolate_InvalidConfigs(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PlainSite, harness.Options{Env: []string{"STATE_DIRECTORY=" + t.TempDir()}})
	site := func(port, inside string) string {
		return "http://127.0.0.1:{$" + port + "} {\nroot {$SITE}\nphp_pool {\n" + inside + "\n}\n}\n"
	}
	one := site("PORT", "root {$SITE}\nname one\nworkers 1\nisolate")
	for name, c := range map[string]struct {
		site, global string
		says         []string
	}{
		"a root that depends on the request": {site("PORT", "root {$SITE}/{host}\nname one\nisolate"), "", []string{"isolate", "{http.request.host}", "write root"}},
		"a root beside php_pool":             {site("PORT", "name one\nisolate"), "", []string{"isolate", "{http.vars.root}", "write root"}},
		"all there is":                       {site("PORT", "root /\nname one\nisolate"), "", []string{"isolate", "root /"}},
		"a colon in the root":                {site("PORT", "root /srv/a:b\nname one\nisolate"), "", []string{"isolate", "/srv/a:b", "open_basedir"}},
		"two roots":                          {one + site("PORT2", "root {$SITE}/sub\nname one\nworkers 1\nisolate"), "", []string{"isolate", "give each site its own pool", "/site", "/site/sub"}},
		"the pool of everybody":              {site("PORT", "root {$SITE}"), "isolate", []string{"isolate", "a pool that no other site uses", "name"}},
		"two sites share it":                 {site("PORT", "root {$SITE}\npool shop") + site("PORT2", "root {$SITE}/sub\npool shop"), "pool shop {\nisolate\n}", []string{"isolate", "give each site its own pool", "/site/sub"}},
	} {
		before := s.Options.Global
		if c.global != "" {
			s.Options.Global = "php_pool {\n" + c.global + "\n}"
		}
		err := s.Reload(c.site)
		s.Options.Global = before
		if err == nil {
			t.Errorf("%s was accepted", name)
			continue
		}
		harness.WantMessage(t, err, c.says)
	}
	s.Get("/hello.php").Want(t, 200, "hello\n")
}

// TestIsolate_SharedUserWarning checks the warning about two isolated pools with the
// same user.
func TestIsolate_SharedUserWarning(t *testing.T) {
	t.Parallel()
	const warning = "runs as the same user as another pool"
	s, _ := prepareIsolated(t, harness.SharedLean)
	if err := s.Run(twoSites(harness.SharedLean, "isolate")); err != nil {
		t.Fatal(err)
	}
	if s.HasLogged(warning) {
		t.Error("got a warning for two users")
	}
	if err := s.Reload(strings.ReplaceAll(twoSites(harness.SharedLean, "isolate"), "user nobody", "user www-data")); err != nil {
		t.Fatal(err)
	}
	if !s.HasLogged(warning) {
		t.Error("got no warning for one user")
	}
}
