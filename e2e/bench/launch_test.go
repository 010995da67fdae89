//go:build linux

package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// phpLauncher is implemented by both ways to start workers.
type phpLauncher interface {
	Launch(ctx context.Context) (*phpbin.Process, error)
	Close(ctx context.Context) error
}

// spawns are the two spawn modes.
var spawns = []struct {
	name  string
	start func(ctx context.Context, o phpbin.Options) (phpLauncher, error)
}{
	{"shared", func(ctx context.Context, o phpbin.Options) (phpLauncher, error) { return phpbin.StartShared(ctx, o) }},
	{"single", func(ctx context.Context, o phpbin.Options) (phpLauncher, error) { return phpbin.StartSingle(ctx, o) }},
}

func startPHP(b *testing.B, start func(context.Context, phpbin.Options) (phpLauncher, error), slots int) phpLauncher {
	b.Helper()
	path, err := phpbin.Find("")
	if err != nil {
		b.Fatal(err)
	}
	l, err := start(b.Context(), phpbin.Options{
		Binary: path, Slots: slots, INI: []phpbin.Setting{{Name: "opcache.enable", Value: "1"}},
		Handshake: func(ctx context.Context, conn net.Conn) error { return fastcgi.NewConn(conn).Handshake(ctx) },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return l
}

// BenchmarkLaunch makes a worker ready: a preforked child in shared mode, a new
// process in single mode.
func BenchmarkLaunch(b *testing.B) {
	for _, s := range spawns {
		b.Run(s.name, func(b *testing.B) {
			l := startPHP(b, s.start, 16)
			for b.Loop() {
				p, err := l.Launch(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := p.Stop(context.Background()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkMemory sums up the PSS of a whole pool, watchdog, master and
// preforked children included: with workers that have done nothing yet, and when each
// has served 50 requests. Run it with -benchtime 1x: more iterations give the same result.
func BenchmarkMemory(b *testing.B) {
	for _, s := range spawns {
		for _, workers := range []int{4, 16, 64, 200} {
			b.Run(fmt.Sprintf("%s/%d", s.name, workers), func(b *testing.B) { benchMemory(b, s.start, workers) })
		}
	}
}

func benchMemory(b *testing.B, start func(context.Context, phpbin.Options) (phpLauncher, error), workers int) {
	b.Helper()
	launchStart := time.Now()
	l := startPHP(b, start, workers+1+workers/8)
	all := make([]*phpbin.Process, workers)
	var launches sync.WaitGroup
	for i := range all {
		launches.Go(func() {
			var err error
			if all[i], err = l.Launch(b.Context()); err != nil {
				b.Error(err)
			}
		})
	}
	launches.Wait()
	if b.Failed() {
		b.FailNow()
	}
	b.ReportMetric(float64(time.Since(launchStart).Milliseconds()), "ms/start")
	report := func(unit string) {
		sum, own := harness.PSS(b, harness.Descendants(os.Getpid()))
		b.ReportMetric(float64(sum)/harness.MiB, "MB/"+unit)
		b.ReportMetric(float64(own)/harness.MiB, "MB-own/"+unit)
	}
	report("fresh")
	for _, p := range all {
		conn := fastcgi.NewConn(p.Conn())
		for range 50 {
			runHello(b, conn)
		}
	}
	report("used")
	b.ReportMetric(0, "ns/op")
}

// runHello runs hello.php on a worker.
func runHello(b *testing.B, conn *fastcgi.Conn) {
	b.Helper()
	script, err := filepath.Abs("testdata/speed/hello.php")
	if err != nil {
		b.Fatal(err)
	}
	req := fastcgi.NewRequest()
	defer req.Free()
	for _, p := range [][2]string{
		{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"REQUEST_METHOD", "GET"},
		{"REQUEST_URI", "/hello.php"},
		{"SCRIPT_NAME", "/hello.php"},
		{"SCRIPT_FILENAME", script},
		{"QUERY_STRING", ""},
	} {
		req.AddParam(p[0], p[1])
	}
	res, err := conn.RoundTrip(b.Context(), req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "hello\n" {
		b.Fatalf("got %q, %v", body, err)
	}
}
