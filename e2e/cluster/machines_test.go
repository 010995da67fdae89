//go:build linux

package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// cluster is a balancer, redis, and the machines with PHP.
type cluster struct {
	*network
	extensions string            // the directory of redis.so and igbinary.so
	redisDir   string            // of the program and its socket
	sites      map[string]string // the directory of each machine's site,
	srv        string            // and its path on that machine, the same on all
	redis      *harness.Supervised
	front      *harness.Server
	nodes      map[string]*harness.Server
}

// nodeNames are the machines with PHP.
var nodeNames = []string{"node1", "node2", "node3"}

// newCluster starts all machines.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{network: newNetwork(t), nodes: map[string]*harness.Server{}, sites: map[string]string{}, srv: harness.TempDir(t)}
	c.prepareRedis()
	c.startRedis()
	for _, name := range nodeNames {
		dir := harness.TempDir(t)
		c.sites[name] = dir
		c.release(name, "1", page)
		harness.Symlink(t, filepath.Join("releases", "1"), filepath.Join(dir, "current"))
		c.startNode(name, "")
	}
	c.startFront()
	t.Cleanup(func() { // what they do on SIGTERM has its own test
		for _, s := range c.nodes {
			if !s.Stopped {
				s.Stop(syscall.SIGKILL)
			}
		}
	})
	return c
}

// page is the application: it counts the requests of a session.
const page = `session_start() or http_response_code(500);
	$n = $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
	session_write_close();
	usleep(1000 * (int) ($_GET['sleep'] ?? 0));
	if (isset($_GET['maintenance'])) http_response_code(503);
	$body = $_SERVER['REQUEST_METHOD'] === 'POST' ? file_get_contents('php://input') : '';
	printf("node=%s release=%s n=%d id=%s body=%s https=%s client=%s;", getenv('NODE'), RELEASE, $n, $_GET['id'] ?? '', $body,
		$_SERVER['HTTPS'] ?? 'off', $_SERVER['REMOTE_ADDR']);`

// release writes a release of the application to a machine.
func (c *cluster) release(node, name, code string) string {
	dir := filepath.Join(c.sites[node], "releases", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	harness.WriteFile(c.t, filepath.Join(dir, "index.php"), fmt.Sprintf("<?php\nconst RELEASE = '%s';\n%s\n", name, code))
	return dir
}

func (c *cluster) prepareRedis() {
	c.t.Helper()
	program := filepath.Join(harness.CacheDir(c.t), "redis-tools", "usr/bin/redis-check-rdb")
	if _, err := os.Stat(program); err != nil {
		c.t.Fatalf("redis is missing: run make deps (%v)", err)
	}
	c.redisDir = harness.TempDir(c.t)
	// Which program it is depends on its name.
	harness.Symlink(c.t, program, filepath.Join(c.redisDir, "redis-server"))
	var names []string
	for _, extension := range []string{"redis", "igbinary"} {
		debs, _ := filepath.Glob(filepath.Join(harness.CacheDir(c.t), "php*-"+extension+"_*.deb"))
		if len(debs) == 0 {
			c.t.Fatalf("php-%s is missing: run make deps", extension)
		}
		name, _, _ := strings.Cut(filepath.Base(debs[len(debs)-1]), "_")
		names = append(names, name)
	}
	found, _ := filepath.Glob(filepath.Join(harness.UnpackDebs(c.t, names...), "usr/lib/php/*/redis.so"))
	if len(found) != 1 {
		c.t.Fatalf("redis.so: found %q", found)
	}
	c.extensions = filepath.Dir(found[0])
}

// wrapper returns the command that runs another one on a machine. It executes it, so that
// the process is that of the other command.
func (n *network) wrapper(host string) []string {
	return []string{"/usr/bin/env", "ip", "netns", "exec", n.ns(host)}
}

// nodeWrapper is wrapper for a machine that has its site at c.srv: ip runs the command in a
// mount namespace.
func (c *cluster) nodeWrapper(name string) []string {
	return append(c.wrapper(name), "sh", "-c", `mount --bind "$0" "$1" && shift && exec "$@"`, c.sites[name], c.srv)
}

func (c *cluster) startRedis() {
	c.t.Helper()
	args := append(c.wrapper("redis"), filepath.Join(c.redisDir, "redis-server"), "--bind", address("redis"), "--save", "", "--protected-mode", "no", "--dir", c.redisDir)
	c.redis = harness.Supervise(c.t, harness.Command{Args: args, Env: os.Environ(), Dir: c.redisDir, Log: filepath.Join(c.redisDir, "log")})
	harness.Eventually(c.t, func() error {
		conn, err := c.dial(c.t.Context(), "redis", "tcp", address("redis")+":6379")
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// startNode starts Caddy with PHP on a machine. lines are options of the pool.
func (c *cluster) startNode(name, lines string) {
	c.t.Helper()
	s := harness.Prepare(c.t, harness.SharedLean, harness.Options{
		Wrapper: c.nodeWrapper(name), Site: filepath.Join(c.srv, "current"), Env: []string{"NODE=" + name},
		Global: `
	shutdown_delay 3s
	servers {
		trusted_proxies static ` + address("front") + `/32
		trusted_proxies_strict
	}
	php_pool {
		process_env NODE ` + name + `
		ini_scan_dir {$DIR}/conf.d
		ini session.save_handler redis
		ini session.save_path "tcp://` + address("redis") + `:6379?timeout=1&read_timeout=2"
	}
`,
	})
	if err := os.Mkdir(filepath.Join(s.Dir, "conf.d"), 0o755); err != nil {
		c.t.Fatal(err)
	}
	harness.WriteFile(c.t, filepath.Join(s.Dir, "conf.d", "redis.ini"), fmt.Sprintf(
		"zend_extension=opcache\nextension=%[1]s/igbinary.so\nextension=%[1]s/redis.so\n", c.extensions))
	s.URL, s.Client = "http://"+address(name)+":8080", c.client(name)
	if lines == "" {
		lines = "max_workers 4\nmax_queue 64"
	}
	err := s.Run(`
		:8080 {
			root {$SITE}
			php_pool_ping /ready * {
				allow private_ranges
			}
			respond /live 200
			php_pool {
				name main
				trust_forwarded
				manager dynamic
				stop_timeout 8s
				start_timeout 8s
				` + lines + `
			}
			file_server
		}
	`)
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[name] = s
}

// startFront starts the balancer with the Caddyfile of docs/scaling.md, on port 8443 with
// TLS and on 8080 without. replace are pairs of its texts and others.
func (c *cluster) startFront(replace ...string) {
	c.t.Helper()
	site := frontOfDocs(c.t)
	pairs := []string{"node1:8080", address("node1") + ":8080", "node2:8080", address("node2") + ":8080", "node3:8080", address("node3") + ":8080"}
	pairs = append(pairs, replace...)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(site, pairs[i]) {
			c.t.Fatalf("docs/scaling.md: the balancer has no %s", pairs[i])
		}
	}
	site = strings.NewReplacer(pairs...).Replace(site)
	c.front = harness.Prepare(c.t, harness.SharedLean, harness.Options{Wrapper: c.wrapper("front"), Global: "\tservers {\n\t\ttrusted_proxies_strict\n\t}\n"})
	c.front.URL, c.front.Client = "http://"+address("front")+":8080", c.client("front")
	tls := "https://" + address("front") + ":8443 {\n\ttls internal\n" + strings.SplitN(site, "\n", 2)[1]
	if err := c.front.Run("http://:8080 {\n" + strings.SplitN(site, "\n", 2)[1] + "\n" + tls); err != nil {
		c.t.Fatal(err)
	}
}

// stopFront stops the balancer, so that another one can be started.
func (c *cluster) stopFront() {
	c.t.Helper()
	c.front.Kill()
	c.front.Stopped = true
}

// frontOfDocs returns the balancer's site in docs/scaling.md.
func frontOfDocs(tb testing.TB) string {
	tb.Helper()
	page := harness.ReadFile(tb, "../../docs/scaling.md")
	_, rest, found := strings.Cut(page, "\nshop.example.com {\n")
	site, _, closed := strings.Cut(rest, "\n}\n```\n")
	if !found || !closed {
		tb.Fatal("docs/scaling.md has no site shop.example.com")
	}
	return "shop.example.com {\n" + site + "\n}\n"
}
