//go:build linux

package cluster

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// releaseEverywhere writes a release to all nodes.
func (c *cluster) releaseEverywhere(name, code string) {
	for _, node := range nodeNames {
		c.release(node, name, code)
	}
}

// deployCommand is the command that deploys a release on all nodes, one after the other.
func (c *cluster) deployCommand(name string, args ...string) *exec.Cmd {
	args = append([]string{"php-pool", "deploy", filepath.Join(c.srv, "releases", name)}, args...)
	for _, node := range nodeNames {
		args = append(args, "--address", "unix/"+c.nodes[node].Dir+"/admin.sock")
	}
	s := c.nodes["node1"]
	command := s.Command(args...)
	cmd := exec.CommandContext(c.t.Context(), command.Args[0], command.Args[1:]...)
	cmd.Env, cmd.Dir = command.Env, s.Dir
	return cmd
}

// deployed runs that command, and checks the exit code and the output.
func (c *cluster) deployed(t *testing.T, name string, code int, want string, args ...string) {
	t.Helper()
	cmd := c.deployCommand(name, args...)
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), want) {
		t.Fatalf("deploy %s: got exit code %d, want %d and %q:\n%s", name, got, code, want, out)
	}
}

// leadTo checks to which release the link of each node leads.
func (c *cluster) leadTo(t *testing.T, name string) {
	t.Helper()
	for _, node := range nodeNames {
		if got, err := os.Readlink(filepath.Join(c.sites[node], "current")); err != nil || filepath.Base(got) != name {
			t.Errorf("%s: the link leads to %q, want %s (%v)", node, got, name, err)
		}
	}
}

// wantReleases stops the load, and checks that clients have seen these releases only, and
// no failure.
func (l *load) wantReleases(t *testing.T, names ...string) {
	t.Helper()
	wantNone(t, l, l.stop())
	seen := map[string]int{}
	for _, r := range l.all() {
		if r.method != http.MethodHead {
			seen[r.release]++
		}
	}
	for name, n := range seen {
		if !slices.Contains(names, name) {
			t.Errorf("%d responses of release %q", n, name)
		}
	}
	t.Logf("%d requests, releases %v", len(l.all()), seen)
}

// deployReleases deploys releases on all nodes under load. Nobody sees one that is broken,
// crashes or hangs, and nothing is lost: neither with a good one, nor when a node
// is killed in the middle.
func (c *cluster) deployReleases(t *testing.T) {
	c.releaseEverywhere("broken", "throw new Exception('half written');\n"+page)
	c.releaseEverywhere("crash", "exec('kill -SEGV ' . getmypid());\nsleep(5);\n"+page)
	c.releaseEverywhere("slow", "sleep(600);\n"+page)
	l := c.startLoad(6, 100*time.Millisecond)
	l.waitShares(t, 0.2, nodeNames...)
	c.deployed(t, "broken", 1, "half written")
	c.deployed(t, "crash", 1, "worker exited during the re")
	c.deployed(t, "slow", 1, "no complete response within 8s")
	c.leadTo(t, "1")
	l.wait(50)
	l.wantReleases(t, "1")

	// A good one, and one that is good on the first two nodes only.
	c.releaseEverywhere("2", page)
	c.releaseEverywhere("3", page)
	c.release("node3", "3", "throw new Exception('only here');\n"+page)
	l = c.startLoad(6, 100*time.Millisecond)
	c.deployed(t, "2", 0, "current leads to "+filepath.Join(c.srv, "releases", "2"))
	c.leadTo(t, "2")
	c.deployed(t, "3", 1, "only here")
	c.leadTo(t, "2")
	l.wait(50)
	l.wantReleases(t, "1", "2", "3")

	// A node is killed while it warms the release up: those before it are taken back.
	started := filepath.Join(c.srv, "started")
	c.releaseEverywhere("4", page)
	c.release("node2", "4", "touch('"+started+"'); sleep(600);\n"+page)
	if err := os.Chmod(c.sites["node2"], 0o777); err != nil {
		t.Fatal(err)
	}
	l = c.startLoad(6, 100*time.Millisecond)
	cmd := c.deployCommand("4", "--drain", "--wait", "2m")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, func() error {
		_, err := os.Stat(filepath.Join(c.sites["node2"], "started"))
		return err
	})
	c.nodes["node2"].Stop(syscall.SIGKILL)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(out.String(), "its symlink may lead to either release") || !strings.Contains(out.String(), "taken back on 1 machine") {
		t.Errorf("got exit code %d:\n%s", code, &out)
	}
	c.leadTo(t, "2")
	c.release("node2", "4", page)
	c.startNode("node2", "")
	l.waitShares(t, 0.2, nodeNames...)
	c.deployed(t, "4", 0, "leads to")
	c.leadTo(t, "4")
	harness.Eventually(t, func() error {
		if list := l.all(); list[len(list)-1].release != "4" && list[len(list)-1].method != http.MethodHead {
			return fmt.Errorf("the last release was %q", list[len(list)-1].release)
		}
		return nil
	})
	l.wantReleases(t, "2", "4")
	c.runDocs(t)
	c.leadTo(t, "4")
}

// runDocs runs the commands of docs/scaling.md as they stand, under load. Only the addresses
// and directories are those of the test, and the watch is shorter.
func (c *cluster) runDocs(t *testing.T) {
	c.releaseEverywhere("42", page)
	bin := harness.TempDir(t)
	harness.Symlink(t, harness.CaddyBinary, filepath.Join(bin, "caddy"))
	pairs := []string{"/srv/", c.srv + "/", "--watch 30s", "--watch 200ms"}
	for _, node := range nodeNames {
		pairs = append(pairs, node+":2019", "unix/"+c.nodes[node].Dir+"/admin.sock")
	}
	l := c.startLoad(6, 100*time.Millisecond)
	blocks := strings.Split(harness.ReadFile(t, "../../docs/scaling.md"), "\n```sh\n")[1:]
	if len(blocks) != 3 {
		t.Fatalf("found %d commands", len(blocks))
	}
	for _, block := range blocks {
		script, _, _ := strings.Cut(block, "\n```\n")
		s := c.nodes["node1"]
		cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", strings.NewReplacer(pairs...).Replace(script))
		cmd.Env, cmd.Dir = slices.Concat(s.Command().Env, []string{"PATH=" + bin + ":" + os.Getenv("PATH")}), s.Dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
	l.wantReleases(t, "4", "42")
	for _, node := range nodeNames {
		c.wantReady(t, node, 200, "pong")
	}
}
