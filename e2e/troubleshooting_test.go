//go:build linux

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestTroubleshooting_DocumentedCommands runs the five commands of docs/troubleshooting.md against a
// site in trouble: a script in an endless loop, one that waits for a server that
// never responds, one that crashed, a full queue, and a full OPcache.
func TestTroubleshooting_DocumentedCommands(t *testing.T) {
	t.Parallel()
	commands := documentedCommands(t)
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b, harness.Options{Site: incidentSite(t)})
		if err := s.Run(harness.PoolSite(b, "workers 2", "max_queue 3", "ini opcache.max_accelerated_files 200",
			"ini opcache.file_update_protection 0")); err != nil {
			t.Fatal(err)
		}
		deaf := silentServer(t)
		s.Do(s.Request("POST", "/import.php", nil)).WantContains(t, 502)
		for range 4 { // in either worker, where each has its own OPcache
			s.Get("/catalogue.php").Want(t, 200, "")
		}
		waitOPcache(s, "full", func(o opcacheStatus) bool { return o.Full })
		sendAll := func(paths ...string) {
			for _, path := range paths {
				go s.Client.Do(s.Request("GET", path, nil))
			}
		}
		sendAll("/report.php", "/checkout.php?server="+deaf)
		s.WaitPool("busy", func(p harness.PoolStatus) bool { return p.Workers.Busy == 2 })
		sendAll("/?1", "/?2", "/?3")
		s.WaitPool("full", func(p harness.PoolStatus) bool { return p.Queue.Length == 3 })
		s.Get("/?4").WantContains(t, 503)

		ended := ""
		if b.Name == harness.SingleLean.Name || kernelTellsExits() {
			ended = ` by signal: segmentation fault`
		}
		script := regexp.QuoteMeta(s.Site)
		// What each command has to print, in their order.
		responses := [][]string{
			{
				`(?m)^main: the queue is full: 3 requests are waiting, and further ones get 503\n  → raise max_workers`,
				`(?m)^main: OPcache is full, .*all 223 keys are used, by \d+ scripts\n  → write .ini opcache\.max_accelerated_files 400. \(now 200\)`,
				`(?m)^main: 1 worker crashed; the last at \S+` + ended + `, running POST /import\.php \(` + script + `/import\.php\)$`,
				`(?m)^main: \d+ requests had to wait because all workers were busy \(maximum 2\)$`,
			},
			{
				`(?m)^1 pool: 2 busy, 0 idle, at most 2; queue 3;`,
				`(?m)^main +\d+ +\d+ +busy +\d+\.\d +\d+ .* GET /report\.php$`,
				`(?m)^main +\d+ +\d+ +busy +\d+\.\d +\d .* GET /checkout\.php$`,
			},
			{
				`(?m)^main: worker \d+, pid \d+, busy for \d+\.\d s: GET /report\.php\n  pages ` + script + `/report\.php(:\d+)?\n` +
					`  report ` + script + `/report\.php:12\n  {main} ` + script + `/report\.php:16\n  now: running$`,
				`(?m)^main: worker \d+, pid \d+, busy for \d+\.\d s: GET /checkout\.php\n(  fgets\n)?  ask ` + script + `/checkout\.php:7\n` +
					`  {main} ` + script + `/checkout\.php:10\n  now: \w+ .*` + regexp.QuoteMeta(deaf) + `$`,
			},
			{
				`"msg":"worker exited unexpectedly",.*` + strings.ReplaceAll(ended, " by ", `"exit_status":"`) + `.*"uri":"/import\.php","script":"` + script + `/import\.php"`,
			},
			{
				`(?m)^main +full +\S+ \S+ +\S+ \S+ +\S+ \S+ +\d+(\.\d)?% +\d+ +223 +223 +0`,
			},
		}
		for i, line := range commands {
			out := shell(s, line)
			for _, want := range responses[i] {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("%s: %s is not in\n%s", line, want, out)
				}
			}
			if testing.Verbose() {
				t.Logf("$ %s\n%s", line, out)
			}
		}
	})
}

// documentedCommands returns the commands of docs/troubleshooting.md.
func documentedCommands(t *testing.T) []string {
	t.Helper()
	_, section, ok := strings.Cut(harness.ReadFile(t, "../docs/troubleshooting.md"), "\n## What is going on?\n")
	if !ok {
		t.Fatal("docs/troubleshooting.md has no section with the commands")
	}
	_, block, _ := strings.Cut(section, "```sh\n")
	block, _, _ = strings.Cut(block, "```")
	commands := strings.Split(strings.TrimSpace(block), "\n")
	if len(commands) != 5 {
		t.Fatalf("docs/troubleshooting.md has %d commands, want 5", len(commands))
	}
	return commands
}

// shell runs a command line in the directory of the Caddyfile, with caddy and a
// journalctl that shows Caddy's log in PATH.
func shell(s *harness.Server, line string) string {
	s.T.Helper()
	bin := filepath.Join(s.Dir, "bin")
	journal := filepath.Join(bin, "journalctl")
	harness.WriteFile(s.T, journal, "#!/bin/sh\nexec cat '"+filepath.Join(s.Dir, "caddy.log")+"'\n")
	if err := os.Chmod(journal, 0o755); err != nil {
		s.T.Fatal(err)
	}
	harness.Symlink(s.T, harness.CaddyBinary, filepath.Join(bin, "caddy"))
	c := s.Command()
	cmd := exec.CommandContext(s.T.Context(), "sh", "-c", line)
	cmd.Dir, cmd.Env = c.Dir, slices.Clone(c.Env)
	for i, kv := range cmd.Env {
		if path, ok := strings.CutPrefix(kv, "PATH="); ok {
			cmd.Env[i] = "PATH=" + bin + ":" + path
		}
	}
	out, err := cmd.Output() // the log of Caddy's config adapters goes to stderr
	if err != nil {
		s.T.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// incidentSite is a site whose scripts cause problems.
func incidentSite(t *testing.T) string {
	t.Helper()
	site := filepath.Join(harness.TempDir(t), "site")
	harness.CopyTree(t, site, "testdata/incident")
	for i := range 300 {
		harness.WriteFile(t, filepath.Join(site, "catalogue", fmt.Sprintf("%d.php", i)), fmt.Sprintf("<?php $item = %d;\n", i))
	}
	harness.ChownToPHP(t, site)
	return site
}

// silentServer accepts connections and never sends anything.
func silentServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				bufio.NewReader(c).ReadByte() // until the client disconnects
			}()
		}
	}()
	return l.Addr().String()
}

// kernelTellsExits reports whether Linux provides the exit status of a process that is
// not our child, such as a worker of a master. It does since 6.15.
func kernelTellsExits() bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false
	}
	var major, minor int
	fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return major > 6 || major == 6 && minor >= 15
}
