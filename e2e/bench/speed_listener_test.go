//go:build linux && bench

package bench

import (
	"fmt"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestSpeedListener measures php-fpm and the FastCGI listener behind nginx. The CPU time
// is that of the backend with all its processes, without nginx.
func TestSpeedListener(t *testing.T) {
	const clients = 16
	only := regexp.MustCompile(*speedOnly)
	site := speedScripts(t)
	harness.ChownToPHP(t, site)
	s := harness.Start(t, harness.SharedLean, "http://127.0.0.1:{$PORT} {\nrespond ok\n}\n", harness.Options{Site: site, Global: fmt.Sprintf(`
	php_pool {
		pool www {
			manager static
			workers %d
		}
		fastcgi unix/{$DIR}/listener.sock|0666 {
			pool www
		}
	}
`, speedWorkers)})
	dir := harness.TempDir(t)
	// A kept connection occupies a worker of php-fpm.
	f := harness.StartFPM(t, dir, harness.Options{Workers: clients})
	for _, conns := range []struct {
		name string
		kept int
	}{{"kept connections", clients}, {"new connections", 0}} {
		fpm, ours := nginxTo(t, site, filepath.Join(dir, "fpm.sock"), conns.kept), nginxTo(t, site, filepath.Join(s.Dir, "listener.sock"), conns.kept)
		for r, backend := range map[*rival]*harness.Supervised{fpm: f, ours: s.Supervised} {
			r.t, r.kept = t, []*harness.Supervised{backend}
		}
		fpm.name, ours.name, ours.ours = "nginx → php-fpm", "nginx → php_pool", true
		for _, w := range []work{
			{name: "hello, 16", path: "/hello.php", clients: clients, want: "hello\n", size: 6, target: target{cpu: 1.3}},
			{name: "100 KB page, 16", path: "/page.php", clients: clients, want: "<p>0", size: 100_000},
			{name: "100 KB upload, 16", path: "/upload.php", clients: clients, body: 100_000, want: "100000\n", size: 7},
		} {
			if !only.MatchString(w.name + ", " + conns.name) {
				continue
			}
			counts := inTurns(t, w, []*rival{fpm, ours})
			fmt.Print(speedTable(w.name+", "+conns.name, counts), usageTable(t, w, []*rival{fpm, ours}, counts))
			if w.target.cpu > 0 && conns.kept > 0 {
				_, cpu := counts[1].ratios(counts[0])
				fmt.Print(targetLine([]verdict{atMost("CPU ratio", cpu, w.target.cpu, "")}))
			}
		}
	}
}
