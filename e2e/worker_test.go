//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// workerSite is a Caddyfile with one site, whose worker script index.php runs in the
// pool main, and all other scripts in the pool plain. The lines are options of worker.
func workerSite(b harness.Backend, lines ...string) string {
	return workerSiteWith(b, nil, lines...)
}

// workerSiteWith is workerSite with options of php_pool.
func workerSiteWith(b harness.Backend, options []string, lines ...string) string {
	return `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool {
				name plain
				` + strings.Join(append(options, b.Lines...), "\n") + `
				worker index.php {
					name main
					` + strings.Join(lines, "\n") + `
				}
			}
			file_server
		}
	`
}

// startWorker runs a site with these files, whose worker script is index.php.
func startWorker(t *testing.T, b harness.Backend, caddyfile string, files map[string]string, opts ...harness.Options) *harness.Server {
	t.Helper()
	s := harness.Prepare(t, b, opts...)
	s.Site = filepath.Join(s.Dir, "app", "public")
	for name, content := range files {
		harness.WriteFile(t, filepath.Join(s.Site, name), content)
	}
	harness.ChownToPHP(t, filepath.Join(s.Dir, "app"))
	if err := s.Run(caddyfile); err != nil {
		t.Fatal(err)
	}
	return s
}

// helloWorker counts the requests of its worker.
const helloWorker = `<?php
$n = 0;
while (frankenphp_handle_request(function () use (&$n) {
	$n++;
	echo "request $n of ", getmypid(), ': ', $_SERVER['REQUEST_METHOD'], ' ', $_SERVER['REQUEST_URI'];
})) {}
`

func TestWorker_ServesManyRequestsInOneProcess(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.AllBackends, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSite(b, "num 1"), map[string]string{
			"index.php": helloWorker, "plain.php": `<?php echo 'plain ', PHP_SAPI;`, "a.txt": "a file",
		})
		pid := s.Pool().List[0].PID
		for i := 1; i <= 20; i++ {
			path := fmt.Sprintf("/page/%d?x=y", i)
			s.Get(path).Want(t, 200, fmt.Sprintf("request %d of %d: GET %s", i, pid, path))
		}
		s.Get("/plain.php").Want(t, 200, "plain cgi-fcgi")
		s.Get("/a.txt").Want(t, 200, "a file")
		if n := s.Pool().Requests.Total; n != 20 {
			t.Errorf("the pool of the worker has served %d requests, want 20", n)
		}
		if n := s.PoolNamed("plain").Requests.Total; n != 1 {
			t.Errorf("the ordinary pool has served %d requests, want 1", n)
		}
		s.WantNoneFailed()
	})
}
