//go:build linux

package security

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// undone is the output of customer/undo.php.
type undone struct {
	Settings         map[string][3]any // before ini_set, its result, after it
	Functions, Files map[string]bool
	Include          bool
	Uploaded         []string
	Temp, TMPDIR     string
	Session          string
	Seen             int
}

// adminSite is a site with some settings by admin_ini.
func adminSite(b harness.Backend, more ...string) string {
	return harness.PoolSite(b, append([]string{"workers 1", `ini user_agent undone`, `admin_ini user_agent "it's; final"`, `admin_ini {
		memory_limit 77M
		disable_functions exec,passthru
		open_basedir {$SITE}:{$DIR}/allowed
		upload_tmp_dir {$DIR}/allowed
		session.save_path {$DIR}/allowed
	}`}, more...)...)
}

// prepareAdmin prepares a site whose .user.ini has other settings, and a directory
// outside of it for uploads.
func prepareAdmin(t *testing.T, b harness.Backend) customer {
	t.Helper()
	s := harness.Prepare(t, b)
	harness.CopyTree(t, s.Site, "testdata/customer")
	harness.WriteFile(t, s.Site+"/.user.ini", "user_agent = undone\nmemory_limit = 1G\nopen_basedir = /\nsession.save_path = /tmp\ndisplay_errors = 0\n")
	harness.WriteFile(t, s.Dir+"/secret.txt", "for nobody")
	harness.WriteFile(t, s.Dir+"/allowed/shared.txt", "for PHP")
	harness.ChownToPHP(t, s.Site)
	harness.ChownToPHP(t, s.Dir+"/allowed")
	return customer{Server: s, root: s.Site}
}

// wantFinal checks that a script cannot change the settings.
func (c customer) wantFinal() {
	c.T.Helper()
	var got undone
	c.query("undo.php", url.Values{
		"settings[user_agent]": {"undone"}, "settings[memory_limit]": {"1G"}, "settings[open_basedir]": {"/"},
		"settings[upload_tmp_dir]": {"/tmp"}, "settings[session.save_path]": {"/tmp"}, "settings[disable_functions]": {""},
		"settings[display_errors]": {"1"},
		"functions[]":              {"exec", "passthru", "shell_exec"},
		"files[]":                  {c.Dir + "/secret.txt", c.Dir + "/allowed/shared.txt", c.Site + "/../secret.txt"},
	}, &got)
	for name, want := range map[string]string{
		"user_agent": "it's; final", "memory_limit": "77M", "open_basedir": c.Site + ":" + c.Dir + "/allowed",
		"upload_tmp_dir": c.Dir + "/allowed", "session.save_path": c.Dir + "/allowed", "disable_functions": "exec,passthru",
	} {
		if is := got.Settings[name]; is != [3]any{want, false, want} {
			c.T.Errorf("%s: before, by ini_set and after: got %v, want %s", name, is, want)
		}
	}
	// Other settings can be changed by .user.ini and scripts.
	if is := got.Settings["display_errors"]; is[0] != "0" || is[1] != "0" {
		c.T.Errorf("display_errors: got %v", is)
	}
	if got.Functions["exec"] || got.Functions["passthru"] || !got.Functions["shell_exec"] {
		c.T.Errorf("got functions %v", got.Functions)
	}
	if got.Files[c.Dir+"/secret.txt"] || got.Files[c.Site+"/../secret.txt"] || !got.Files[c.Dir+"/allowed/shared.txt"] {
		c.T.Errorf("got files %v", got.Files)
	}
}

func TestAdminINI_CannotBeOverridden(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		c := prepareAdmin(t, b)
		if err := c.Run(adminSite(b)); err != nil {
			t.Fatal(err)
		}
		c.wantFinal()
		// The same with a worker that was started later.
		c.Admin("DELETE", fmt.Sprintf("/php_pool/pools/main/workers/%d", c.Pool().List[0].ID), "").Want(t, 200, "")
		c.wantFinal()
		// An unchanged reload keeps the generation, another value starts a new one.
		if err := c.Reload(adminSite(b)); err != nil {
			t.Fatal(err)
		}
		if got := c.Pool().Generation; got != 1 {
			t.Errorf("an unchanged reload started generation %d", got)
		}
		if err := c.Reload(strings.Replace(adminSite(b), "77M", "88M", 1)); err != nil {
			t.Fatal(err)
		}
		var got undone
		c.query("undo.php", url.Values{"settings[memory_limit]": {"1G"}}, &got)
		if is := got.Settings["memory_limit"]; is != [3]any{"88M", false, "88M"} {
			t.Errorf("after a reload: got %v", is)
		}
	})
}

// TestAdminINI_SymlinkedRoot has a root that is a symbolic link, with and without
// resolve_root_symlink, a link below it, and its own ini files.
func TestAdminINI_SymlinkedRoot(t *testing.T) {
	t.Parallel()
	for _, resolve := range []string{"", "resolve_root_symlink off"} {
		c := prepareAdmin(t, harness.SharedLean)
		harness.WriteFile(t, c.Dir+"/conf.d/own.ini", "user_agent = undone\nfrom = scanned\n")
		harness.Symlink(t, c.Site, filepath.Join(c.Dir, "current"))
		harness.Symlink(t, ".", filepath.Join(c.Site, "again"))
		site := adminSite(harness.SharedLean, "ini_scan_dir {$DIR}/conf.d", resolve)
		if err := c.Run(strings.Replace(site, "root {$SITE}\n", "root {$DIR}/current\n", 1)); err != nil {
			t.Fatal(err)
		}
		c.wantFinal()
		for _, script := range []string{"undo.php", "again/undo.php", "again/again/undo.php"} {
			var got undone
			c.query(script, url.Values{"settings[user_agent]": {"undone"}, "settings[from]": {"me"}}, &got)
			if is := got.Settings["user_agent"]; is != [3]any{"it's; final", false, "it's; final"} {
				t.Errorf("%s: got %v", script, is)
			}
			if is := got.Settings["from"]; is[0] != "scanned" {
				t.Errorf("%s: from ini_scan_dir: got %v", script, is)
			}
		}
	}
}

// TestAdminINI_NewTopLevelDirectory has a script in a top-level directory that was
// created after PHP was started. It is not parallel, because other tests that reload
// meanwhile would get a new generation.
func TestAdminINI_NewTopLevelDirectory(t *testing.T) {
	needsRoot(t)
	c := prepareAdmin(t, harness.SharedLean)
	top := fmt.Sprintf("/php_pool-test-%d", os.Getpid())
	site := strings.ReplaceAll(adminSite(harness.SharedLean), "root {$SITE}\n", "root "+top+"\n")
	if err := c.Run(strings.ReplaceAll(site, "{$SITE}", top)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	harness.CopyTree(t, top, "testdata/customer")
	if res := c.Get("/undo.php"); res.StatusCode != 500 || res.Text != "" {
		t.Errorf("got %d %q, want Caddy's own 500", res.StatusCode, res.Text)
	}
	if last := c.LastError(); !strings.Contains(c.Log(), "admin_ini of pool main does not cover "+top) {
		t.Errorf("the log says %s", last)
	}
	c.Admin("POST", "/php_pool/pools/main/restart", "").Want(t, 200, "")
	var got undone
	c.query("undo.php", url.Values{"settings[memory_limit]": {"1G"}}, &got)
	if is := got.Settings["memory_limit"]; is != [3]any{"77M", false, "77M"} {
		t.Errorf("after a restart: got %v", is)
	}
}
