//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// releases is a server whose site is a symlink to one of several releases.
type releases struct {
	*harness.Server
	t    *testing.T
	srv  string // has the symlink current, and the directory releases
	link string
}

// prepareReleases makes release 1 the current one. Caddy does not run yet.
func prepareReleases(t *testing.T, b harness.Backend, opts ...harness.Options) *releases {
	t.Helper()
	r := &releases{Server: harness.Prepare(t, b, opts...), t: t}
	r.srv = filepath.Join(r.Dir, "srv")
	r.link = filepath.Join(r.srv, "current")
	r.Site = filepath.Join(r.link, "public")
	if err := os.Mkdir(r.srv, 0o755); err != nil {
		t.Fatal(err)
	}
	r.release("1", "")
	harness.Symlink(t, filepath.Join("releases", "1"), r.link)
	if uid := int(r.Options.UID); uid != 0 {
		if err := os.Chown(r.srv, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// startReleases starts Caddy with release 1. lines are options of the pool main.
func startReleases(t *testing.T, b harness.Backend, lines ...string) *releases {
	t.Helper()
	r := prepareReleases(t, b)
	r.run(lines...)
	return r
}

func (r *releases) run(lines ...string) {
	r.t.Helper()
	if err := r.Run(harness.PoolSite(r.Backend, append([]string{"manager static", "workers 2"}, lines...)...)); err != nil {
		r.t.Fatal(err)
	}
}

// release writes a release, whose page runs the code and then prints the name of the
// release. It returns its directory.
func (r *releases) release(name, code string) string {
	r.t.Helper()
	dir := filepath.Join(r.srv, "releases", name)
	harness.WriteFile(r.t, filepath.Join(dir, "public", "index.php"), fmt.Sprintf("<?php\n%s\necho 'release %s';\n", code, name))
	harness.WriteFile(r.t, filepath.Join(dir, "public", "style.css"), "of release "+name)
	if uid := int(r.Options.UID); uid != 0 { // --keep needs the right to remove them
		harness.Chown(r.t, filepath.Join(r.srv, "releases"), uid, -1)
	}
	return dir
}

// deploy runs the command for a release.
func (r *releases) deploy(name string, args ...string) *result {
	r.t.Helper()
	return phpPool(r.Server, append([]string{"deploy", filepath.Join(r.srv, "releases", name)}, args...)...)
}

// leadsTo checks to which release the link leads, and that its directory has only it, the
// directory of releases and the history.
func (r *releases) leadsTo(name string) {
	r.t.Helper()
	got, err := filepath.EvalSymlinks(r.link)
	if want := filepath.Join(r.srv, "releases", name); err != nil || got != want {
		r.t.Errorf("the link leads to %s, want %s (%v)", got, want, err)
	}
	entries, err := os.ReadDir(r.srv)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains([]string{"current", "releases", ".current.releases"}, e.Name()) {
			r.t.Errorf("left behind: %s", e.Name())
		}
	}
}

// visitors request the page until stop.
type visitors struct {
	r    *releases
	quit chan struct{}
	wg   sync.WaitGroup

	mu   sync.Mutex
	seen map[string]int // by response
}

func (r *releases) startVisitors() *visitors {
	v := &visitors{r: r, quit: make(chan struct{}), seen: map[string]int{}}
	for range 3 {
		v.wg.Go(func() {
			client := harness.NewClient(r.t)
			for {
				select {
				case <-v.quit:
					return
				default:
				}
				text := ""
				if res, err := client.Get(r.URL + "/"); err != nil {
					text = err.Error()
				} else {
					body, err := io.ReadAll(res.Body)
					res.Body.Close()
					text = fmt.Sprint(res.StatusCode, " ", string(body))
					if err != nil {
						text += err.Error()
					}
				}
				v.mu.Lock()
				v.seen[text]++
				v.mu.Unlock()
			}
		})
	}
	r.t.Cleanup(v.stop)
	return v
}

func (v *visitors) stop() {
	select {
	case <-v.quit:
	default:
		close(v.quit)
		v.wg.Wait()
	}
}

// wait waits until a response has been seen.
func (v *visitors) wait(text string) {
	v.r.t.Helper()
	harness.Eventually(v.r.t, func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.seen[text] == 0 {
			return fmt.Errorf("no visitor has seen %q: %v", text, v.seen)
		}
		return nil
	})
}

// want stops them, and checks that they have seen these responses and no other.
func (v *visitors) want(responses ...string) {
	v.r.t.Helper()
	v.stop()
	if got := slices.Sorted(maps.Keys(v.seen)); !slices.Equal(got, responses) {
		v.r.t.Errorf("visitors have seen %v, want %q", v.seen, responses)
	}
}

// crash kills the process of the script.
const crash = "exec('kill -SEGV ' . getmypid()); sleep(5);"

// No visitor sees a release that fails its warmup. One that does not replaces the current
// one without a failed request, and is warm.
func TestDeployRelease_RefusedOrSwitched(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		r := startReleases(t, b, "ini opcache.enable 1", "ini opcache.file_update_protection 0", "start_timeout 3s")
		v := r.startVisitors()
		v.wait("200 release 1")
		generation := r.Pool().Generation
		for name, c := range map[string]struct{ code, want string }{
			"broken":  {"throw new Exception('half written');", `got status 500.*half written`},
			"syntax":  {"this is not PHP", `got status 500.*(syntax|Parse) error`},
			"crash":   {crash, `worker exited during the (request|response) \(.*(segmentation fault|SIGSEGV|signal 11)`},
			"missing": {"http_response_code(404);", `got status 404`},
			"slow":    {"sleep(600);", `no complete response within 3s`},
		} {
			r.release(name, c.code)
			r.deploy(name).says(1, `pool main: warmup http://127.0.0.1/: `+c.want)
			r.leadsTo("1")
		}
		if got := r.Pool().Generation; got != generation {
			t.Errorf("got generation %d, want %d", got, generation)
		}
		harness.Eventually(t, func() error { // those of the refused generations end
			if n := len(r.PHPProcesses()); n > 8 {
				return fmt.Errorf("%d processes of PHP", n)
			}
			return nil
		})
		r.release("2", "if (isset($_GET['warm'])) { $f = opcache_get_status()['scripts'][__FILE__]; echo $f['hits'] > 0 ? 'warm ' : 'cold '; }")
		r.deploy("2").says(0, `current leads to .*/releases/2; pool main had been warmed up before\n$`)
		r.leadsTo("2")
		v.wait("200 release 2")
		v.want("200 release 1", "200 release 2")
		r.Get("/?warm").Want(t, 200, "warm release 2")
		r.Get("/style.css").Want(t, 200, "of release 2")
		r.WantNoneFailed()
		if n := len(r.Logged("release deployed")); n != 1 {
			t.Errorf("%d deployments are logged", n)
		}
		r.WaitLogged("release refused; the site is unchanged", 5)
		// A reload of the same config changes nothing, and --rollback goes back.
		before := r.WaitWorkers(b, 2)
		r.MustReload(harness.PoolSite(b, "manager static", "workers 2", "ini opcache.enable 1", "ini opcache.file_update_protection 0", "start_timeout 3s"))
		r.WantUnchanged(before)
		phpPool(r.Server, "deploy", "--rollback").says(0, `current leads to .*/releases/1 again, not to .*/releases/2\n$`)
		r.leadsTo("1")
		r.Get("/").Want(t, 200, "release 1")
		phpPool(r.Server, "deploy", "--rollback").says(1, `no release before .*/releases/1 is known`)
	})
}

// deployments returns the response of GET.
func (r *releases) deployments() (list []struct{ Link, Release, Previous, State, Reason string }) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.Admin("GET", "/php_pool/deploy", "").Text), &list); err != nil {
		r.t.Fatal(err)
	}
	return list
}

// What cannot be deployed is refused by one sentence, and the site stays as it was.
func TestDeployRelease_BadInput(t *testing.T) {
	t.Parallel()
	b := harness.SharedLean
	r := startReleases(t, b)
	r.release("2", "")
	secret := r.release("secret", "")
	if os.Getuid() == 0 {
		if err := errors.Join(os.Chown(secret, 0, 0), os.Chmod(secret, 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	harness.WriteFile(t, filepath.Join(r.srv, "releases", "file"), "")
	harness.WriteFile(t, filepath.Join(r.srv, "releases", "empty", "readme"), "")
	harness.Symlink(t, "gone", filepath.Join(r.srv, "releases", "dangling"))
	harness.Symlink(t, "releases/1", filepath.Join(r.Dir, "elsewhere"))
	good := filepath.Join(r.srv, "releases", "2")
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "write either the directory of the release, or --rollback"},
		{[]string{"--rollback", good}, "write either the directory of the release, or --rollback"},
		{[]string{"--watch", "-1s", good}, "--watch, --keep and --wait: write a value that is not negative"},
		{[]string{filepath.Join(r.srv, "releases", "3")}, "release: .*/releases/3: no such file or directory: write the directory of the release"},
		{[]string{filepath.Join(r.srv, "releases", "dangling")}, "release: .*gone: no such file or directory"},
		{[]string{filepath.Join(r.srv, "releases", "file")}, "release .*file is not a directory"},
		{[]string{filepath.Join(r.srv, "releases", "empty")}, `warmup .*: got status 404 from Caddy, and PHP would not run: is the script missing in release .*/empty\?`},
		{[]string{r.srv}, "release .*/srv contains the link .*/current"},
		{[]string{"--link", filepath.Join(r.srv, "releases"), good}, "link .*/releases is a file or a directory, not a symlink"},
		{[]string{"--link", filepath.Join(r.Dir, "elsewhere"), good}, "link .*elsewhere: no root of a site leads through it: the roots are .*/srv/current/public"},
		{[]string{"--link", filepath.Join(r.Dir, "absent", "current"), good}, "link: .*absent: no such file or directory"},
		{[]string{"--warmup", "http://localhost:1/", good}, "no server of this config listens on port 1"},
		{[]string{"--warmup", "/style.css", good}, "no request has reached PHP|PHP would not run"},
		{[]string{"--rollback"}, "no release before .*/releases/1 is known"},
	} {
		phpPool(r.Server, append([]string{"deploy"}, c.args...)...).says(1, c.want)
	}
	if os.Getuid() == 0 { // else it belongs to PHP's user
		r.deploy("secret").says(1, `release .*secret: PHP of pool main cannot read it: .*secret|release: open .*secret: permission denied: let Caddy's user read it`)
	}
	// The directory of the link cannot be written.
	if r.Options.UID != 0 {
		if err := os.Chmod(r.srv, 0o555); err != nil {
			t.Fatal(err)
		}
		r.deploy("2").says(1, "permission denied: let Caddy's user write in .*/srv")
		if err := os.Chmod(r.srv, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for body, want := range map[string]int{"": 400, `{"nonsense": 1}`: 400, `{"release": "relative"}`: 422, `{}`: 422} {
		if res := r.Admin("POST", "/php_pool/deploy", body); res.StatusCode != want {
			t.Errorf("%s: got %s %s", body, res.Status, res.Text)
		}
	}
	if res := r.Admin("DELETE", "/php_pool/deploy", ""); res.StatusCode != 405 {
		t.Errorf("DELETE: got %s", res.Status)
	}
	r.leadsTo("1")
	r.Get("/").Want(t, 200, "release 1")
	if p := r.Pool(); p.Generation != 1 {
		t.Errorf("got generation %d", p.Generation)
	}
	if list := r.deployments(); len(list) > 0 {
		t.Errorf("got %+v", list)
	}
	// After all that a release can be deployed.
	r.deploy("2").says(0)
	r.Get("/").Want(t, 200, "release 2")
	if list := r.deployments(); len(list) != 1 || list[0].State != "deployed" || !strings.HasSuffix(list[0].Previous, "/releases/1") || !strings.HasSuffix(list[0].Release, "/releases/2") {
		t.Errorf("got %+v", list)
	}
}
