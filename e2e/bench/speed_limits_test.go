//go:build linux && bench

package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// startLimits starts what no server for PHP can beat on this machine: Caddy with a
// constant response, and php-cgi without a web server. They show the limits and do
// not compete.
func startLimits(t *testing.T, site string) []*rival {
	t.Helper()
	caddy := harness.Start(t, harness.Backend{}, `
	http://127.0.0.1:{$PORT} {
		respond `+"`hello\n`"+`
	}
	http://127.0.0.1:{$PORT2} {
		respond `+"`<p>0"+strings.Repeat(".", 99_996)+"`"+`
	}
`, harness.Options{Site: site, Env: strings.Fields(*speedEnv)})
	constant := func(path string, port int) *rival {
		url := fmt.Sprintf("http://127.0.0.1:%d", port)
		return &rival{t: t, name: "limit: Caddy, a constant response", limit: true, path: path, url: url, kept: []*harness.Supervised{caddy.Supervised}}
	}
	return []*rival{constant("/hello.php", caddy.Port), constant("/page.php", caddy.Port+1), startFloor(t, site, floorHTTP), startFloor(t, site, floorCaddy), startBare(t, site)}
}

// startBare starts a php-cgi with forked workers, as php_pool has them.
func startBare(t *testing.T, site string) *rival {
	t.Helper()
	dir := harness.TempDir(t)
	harness.ChownToPHP(t, dir)
	php := &barePHP{socket: filepath.Join(dir, "php.sock"), site: site}
	c := harness.Command{
		Args: []string{harness.PHPCGI(t), "-b", php.socket},
		Env:  []string{"PATH=" + os.Getenv("PATH"), fmt.Sprintf("PHP_FCGI_CHILDREN=%d", speedWorkers), "PHP_FCGI_MAX_REQUESTS=0"},
		Dir:  dir, Log: filepath.Join(dir, "out.log"), UID: harness.PHPUID(t),
	}
	k := harness.Supervise(t, c)
	harness.Eventually(t, func() error {
		conn, err := php.dial()
		if err != nil {
			return fmt.Errorf("php-cgi does not listen:\n%s", harness.ReadFile(t, c.Log))
		}
		conn.close()
		return nil
	})
	name := fmt.Sprintf("limit: php-cgi alone, %d connections", speedWorkers)
	return &rival{t: t, name: name, limit: true, php: php, kept: []*harness.Supervised{k}}
}

// load sends the requests of a work over one connection for each worker, on blocking
// threads, which read a response as soon as it arrives.
func (p *barePHP) load(t *testing.T, w work, d time.Duration) (elapsed []time.Duration, lost int) {
	t.Helper()
	// A blocked thread keeps its P for a while, which other goroutines would wait for.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + speedWorkers))
	request, end := p.request(w), time.Now().Add(d)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range speedWorkers {
		wg.Go(func() {
			conn, err := p.dial()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.close()
			var mine []time.Duration
			bad := 0
			for start := time.Now(); start.Before(end); {
				records, err := conn.roundTrip(request)
				if err != nil {
					t.Error(err)
					return
				}
				if bytes.HasPrefix(records[recordHead:], []byte("Status: ")) { // another than 200
					bad++
				}
				now := time.Now()
				mine = append(mine, now.Sub(start))
				start = now
			}
			mu.Lock()
			defer mu.Unlock()
			elapsed, lost = append(elapsed, mine...), lost+bad
		})
	}
	wg.Wait()
	if len(elapsed) == 0 {
		t.Fatal("php-cgi alone: no responses")
	}
	slices.Sort(elapsed)
	return elapsed, lost
}

// requestBare sends the request of a work once.
func requestBare(t *testing.T, p *barePHP, w work) (status int, body string) {
	t.Helper()
	conn, err := p.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.close()
	records, err := conn.roundTrip(p.request(w))
	if err != nil {
		t.Fatal(err)
	}
	return parseResponse(records)
}

// measureBare measures php-cgi alone.
func measureBare(t *testing.T, r *rival, w work, d time.Duration) reading {
	t.Helper()
	before, start := r.cpu(), time.Now()
	elapsed, lost := r.php.load(t, w, d)
	n, all := float64(len(elapsed)), time.Since(start)
	return reading{
		rate: n / all.Seconds(), cpu: (r.cpu() - before).Seconds() / n * 10_000,
		p50: elapsed[len(elapsed)/2], p99: elapsed[len(elapsed)*99/100], lost: lost,
	}
}
