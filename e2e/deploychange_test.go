//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// blockedRelease writes a release whose page does not respond until unblock is called.
// started waits until it runs.
func (r *releases) blockedRelease(name string) (started, unblock func()) {
	r.t.Helper()
	shared := filepath.Join(r.Dir, "shared-"+name)
	if err := os.Mkdir(shared, 0o755); err != nil {
		r.t.Fatal(err)
	}
	harness.ChownToPHP(r.t, shared)
	r.release(name, fmt.Sprintf("touch('%[1]s/started'); while (!is_file('%[1]s/go')) { usleep(5000); clearstatcache(); }", shared))
	return func() {
			r.t.Helper()
			harness.Eventually(r.t, func() error {
				return os.Remove(filepath.Join(shared, "started"))
			})
		}, func() {
			r.t.Helper()
			harness.WriteFile(r.t, filepath.Join(shared, "go"), "")
		}
}

// running is a command that has not ended yet.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	output bytes.Buffer
	done   chan error
}

// startDeploy starts the command for a release.
func (r *releases) startDeploy(name string, args ...string) *running {
	r.t.Helper()
	c := r.Command(append([]string{"php-pool", "deploy", filepath.Join(r.srv, "releases", name)}, args...)...)
	run := &running{t: r.t, cmd: exec.CommandContext(r.t.Context(), c.Args[0], c.Args[1:]...), done: make(chan error, 1)}
	run.cmd.Env, run.cmd.Dir, run.cmd.Stdout, run.cmd.Stderr = c.Env, c.Dir, &run.output, &run.output
	if err := run.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { run.done <- run.cmd.Wait() }()
	return run
}

// says waits for its end, and checks the exit code and the output.
func (run *running) says(code int, text string) {
	run.t.Helper()
	select {
	case err := <-run.done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			run.t.Fatal(err)
		}
	case <-time.After(harness.MaxWait):
		run.t.Fatalf("deploy does not end: %s", &run.output)
	}
	if got := run.cmd.ProcessState.ExitCode(); got != code || !strings.Contains(run.output.String(), text) {
		run.t.Errorf("got exit code %d, want %d and %q:\n%s", got, code, text, &run.output)
	}
}

// While one deployment runs, another one of the same link is refused, and a restart waits.
// An interrupted command changes nothing.
func TestDeployRelease_TwoAtOnce(t *testing.T) {
	t.Parallel()
	r := startReleases(t, harness.SharedLean)
	started, unblock := r.blockedRelease("2")
	r.release("3", "")
	interrupted := r.startDeploy("2")
	started()
	interrupted.cmd.Process.Signal(os.Interrupt)
	interrupted.says(1, "interrupted: ")
	r.WaitLogged("release refused; the site is unchanged", 1)
	r.leadsTo("1")

	if list := r.deployments(); list == nil || len(list) > 0 {
		t.Errorf("got %+v", list)
	}
	first := r.startDeploy("2")
	started()
	r.deploy("3").says(1, "another deploy, of .*/releases/2, is running")
	phpPool(r.Server, "deploy", "--rollback").says(1, "no release before .*/releases/1 is known")
	restarted := make(chan error, 1)
	go func() { restarted <- r.Restart() }()
	unblock()
	first.says(0, "releases/2; pool main had been warmed up before")
	if err := <-restarted; err != nil {
		t.Error(err)
	}
	r.leadsTo("2")
	r.Get("/").Want(t, 200, "release 2")
	r.deploy("3").says(0)
	r.Get("/").Want(t, 200, "release 3")
	r.WantNoneFailed()
}

// A config that is loaded in the middle of a deployment counts, and the release is refused.
// A Caddy that is killed then leaves the link as it was.
func TestDeployRelease_ReloadOrKillInTheMiddle(t *testing.T) {
	t.Parallel()
	r := startReleases(t, harness.SharedLean)
	started, unblock := r.blockedRelease("2")
	v := r.startVisitors()
	v.wait("200 release 1")
	first := r.startDeploy("2")
	started()
	r.MustReload(harness.PoolSite(r.Backend, "manager static", "workers 2", "ini memory_limit 99M"))
	unblock()
	first.says(1, "another config was loaded meanwhile")
	r.leadsTo("1")
	v.stop() // Caddy may reset connections during a reload
	for text, n := range v.seen {
		if strings.Contains(text, "release 2") || strings.HasPrefix(text, "5") {
			t.Errorf("visitors have seen %q %d times", text, n)
		}
	}
	r.deploy("2").says(0)
	r.leadsTo("2")

	started, _ = r.blockedRelease("3")
	killed := r.startDeploy("3")
	started()
	r.Stop(syscall.SIGKILL)
	killed.says(1, "its symlink may lead to either release")
	if got, err := filepath.EvalSymlinks(r.link); err != nil || filepath.Base(got) != "2" {
		t.Errorf("the link leads to %s, %v", got, err)
	}
	r.Stopped = false
	r.run()
	harness.Eventually(t, func() error { // the log says so since the first start
		res, err := r.Client.Get(r.URL + "/style.css")
		if err != nil {
			return err
		}
		return res.Body.Close()
	})
	r.Get("/").Want(t, 200, "release 2")
	r.release("4", "")
	r.deploy("4").says(0)
	r.leadsTo("4") // and the symlink that the killed Caddy had prepared is gone
	// A Caddy that was restarted knows the release before.
	phpPool(r.Server, "deploy", "--rollback").says(0, "releases/2 again")
	r.Get("/").Want(t, 200, "release 2")
}

// forVisitors fails for all requests but those of a warmup.
const forVisitors = "if ($_SERVER['HTTP_USER_AGENT'] !== 'php_pool warmup') { http_response_code(500); }"

// A release that fails for visitors is rolled back while it is watched, and so is one on
// request. A good one stays.
func TestDeployRelease_Watch(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		r := startReleases(t, b)
		v := r.startVisitors()
		v.wait("200 release 1")
		r.release("2", forVisitors)
		r.deploy("2", "--watch", "10m").says(1, `release .*/2 has been rolled back to .*/1: \d+ of \d+ requests to pool main have failed since the switch; before, 0.0 % of all`)
		r.leadsTo("1")
		r.Get("/").Want(t, 200, "release 1")
		v.want("200 release 1", "500 release 2")
		r.WaitLogged("release rolled back", 1)

		r.release("3", crash)
		r.deploy("3", "--watch", "10m").says(1, "worker exited")
		r.release("4", "")
		first := r.startDeploy("4", "--watch", "10m")
		harness.Eventually(t, func() error {
			if list := r.deployments(); list[0].State != "watching" {
				return fmt.Errorf("got %+v", list)
			}
			return nil
		})
		r.Get("/").Want(t, 200, "release 4")
		r.deploy("1").says(1, "another deploy, of .*/releases/4, is watched: --rollback undoes it")
		phpPool(r.Server, "deploy", "--rollback").says(0, "leads to .*/releases/1 again, not to .*/releases/4")
		first.says(1, "has been rolled back to "+filepath.Join(r.srv, "releases", "1")+": by request")
		r.leadsTo("1")
		r.deploy("4", "--watch", "1s").says(0, "(?s)watching it for 1s.*pool main had been warmed up before")
		r.Get("/").Want(t, 200, "release 4")
		if list := r.deployments(); list[0].State != "deployed" {
			t.Errorf("got %+v", list)
		}
	})
}

// --keep removes what was deployed earlier, and nothing else.
func TestDeployRelease_Keep(t *testing.T) {
	t.Parallel()
	r := startReleases(t, harness.SharedLean)
	r.release("data", "")
	for _, name := range []string{"2", "3", "4"} {
		r.release(name, "")
		r.deploy(name).says(0)
	}
	staging := filepath.Join(r.Dir, "staging")
	harness.Symlink(t, filepath.Join(r.srv, "releases", "2"), filepath.Join(r.srv, "releases", "staging"))
	harness.Symlink(t, filepath.Join(r.srv, "releases", "3"), staging) // is not known here
	r.release("5", "")
	r.deploy("5", "--keep", "1").says(0, `(?s)removed .*/releases/1\n.*removed .*/releases/3\n.*leads to .*/releases/5`)
	var left []string
	entries, err := os.ReadDir(filepath.Join(r.srv, "releases"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if got := strings.Join(left, " "); got != "2 4 5 data staging" {
		t.Errorf("left: %s", got)
	}
	r.Get("/").Want(t, 200, "release 5")
	phpPool(r.Server, "deploy", "--rollback").says(0, "releases/4 again")
	r.Get("/").Want(t, 200, "release 4")
	// The running release is never removed, even if it is deployed again.
	for range 3 {
		r.deploy("4", "--keep", "1").says(0)
	}
	r.leadsTo("4")
	r.Get("/").Want(t, 200, "release 4")
}

// A file system without space refuses the release before anything has been started.
func TestDeployRelease_DiskFull(t *testing.T) {
	t.Parallel()
	r := prepareReleases(t, harness.SharedLean, harness.Options{RunAs: harness.AsRoot})
	if err := syscall.Mount("none", r.srv, "tmpfs", 0, "nr_inodes=20,mode=755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(r.srv, syscall.MNT_DETACH) })
	r.release("1", "")
	harness.Symlink(t, "releases/1", r.link)
	r.release("2", "")
	var fill []string
	for i := 0; ; i++ {
		path := filepath.Join(r.srv, "releases", fmt.Sprint("fill", i))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			break
		}
		fill = append(fill, path)
	}
	r.run()
	r.deploy("2").says(1, "no space left on device")
	r.Get("/").Want(t, 200, "release 1")
	if p := r.Pool(); p.Generation != 1 {
		t.Errorf("got generation %d", p.Generation)
	}
	os.Remove(fill[0])
	r.deploy("2").says(0)
	r.Get("/").Want(t, 200, "release 2")
}

// A release of another owner is deployed, and so is one for an isolated pool, whose
// open_basedir allows the release only.
func TestDeployRelease_OwnerAndIsolate(t *testing.T) {
	t.Parallel()
	r := prepareReleases(t, harness.SharedLean)
	config := harness.PoolSite(r.Backend, "manager static", "workers 2", "isolate", "root {$SITE}", "ini auto_prepend_file {$SITE}/prepend.php")
	read := fmt.Sprintf("echo @file_get_contents('%s/srv/secret') ? 'reads' : 'denied', ' ', PREPENDED, ' ';", r.Dir)
	harness.WriteFile(t, filepath.Join(r.srv, "secret"), "x")
	for _, name := range []string{"1", "2", "3"} {
		dir := r.release(name, read)
		harness.WriteFile(t, filepath.Join(dir, "public", "prepend.php"), "<?php const PREPENDED = 'prepended "+name+"';")
	}
	if os.Getuid() == 0 {
		harness.Chown(t, filepath.Join(r.srv, "releases", "2"), 12345, 12345)
	}
	if err := r.Run(config); err != nil {
		t.Fatal(err)
	}
	r.Get("/").Want(t, 200, "denied prepended 1 release 1")
	for _, name := range []string{"2", "3"} {
		r.deploy(name).says(0)
		r.Get("/").Want(t, 200, "denied prepended "+name+" release "+name)
	}
	before := r.WaitWorkers(r.Backend, 2)
	r.MustReload(config)
	r.WantUnchanged(before)
}

// In worker mode the script is started from the release before the switch. One that does
// not start is refused. The pool does not notice a switch that it has made itself.
func TestDeployRelease_Worker(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		r := prepareReleases(t, b)
		write := func(name, index string) {
			dir := filepath.Join(r.srv, "releases", name, "public")
			harness.WriteFile(t, filepath.Join(dir, "index.php"), index)
			harness.WriteFile(t, filepath.Join(dir, "number.php"), "<?php return "+name+";")
			harness.WriteFile(t, filepath.Join(dir, "plain.php"), "<?php echo 'plain "+name+"';")
		}
		write("1", releaseWorker)
		config := workerSite(b, "num 2")
		if err := r.Run(config); err != nil {
			t.Fatal(err)
		}
		v := r.startVisitors()
		v.wait("200 release 1: 1 same")
		write("11", `<?php throw new Exception('half written');`)
		r.deploy("11").says(1, `pool main: .*half written`)
		write("12", strings.Replace(releaseWorker, "echo", "throw new Exception('late'); echo", 1))
		r.deploy("12").says(1, `pool main: warmup http://127.0.0.1/: (.*late|got status 500)`)
		r.leadsTo("1")
		want := []string{"200 release 1: 1 same"}
		for _, name := range []string{"2", "3", "4"} {
			write(name, releaseWorker)
			r.deploy(name).says(0)
			r.leadsTo(name)
			text := fmt.Sprintf("release %[1]s: %[1]s same", name)
			r.Get("/").Want(t, 200, text)
			v.wait("200 " + text)
			want = append(want, "200 "+text)
			r.Get("/plain.php").Want(t, 200, "plain "+name)
		}
		v.stop()
		for text, n := range v.seen { // for a moment the path of the script may be that of the other release
			if strings.HasSuffix(text, " other") {
				delete(v.seen, text)
				t.Logf("%d times %s", n, text)
			}
		}
		v.want(want...)
		r.WantNoneFailed()
		before := r.WaitPool("one of 2 workers", func(p harness.PoolStatus) bool {
			w := p.Workers
			return w.Idle == 2 && w.Total == 2 && w.Stopping == 0
		})
		r.MustReload(config)
		r.WantUnchanged(before)
		if n := len(r.Logged("new generation active")); n != 3 {
			t.Errorf("%d new generations, want 3", n)
		}
		phpPool(r.Server, "deploy", "--rollback").says(0, "releases/3 again")
		r.Get("/").Want(t, 200, "release 3: 3 same")
	})
}
