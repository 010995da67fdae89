//go:build linux && bench

package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// scaleConnections measures growing numbers of concurrent clients with four workers.
func scaleConnections(t *testing.T, site string) []curve {
	rates := curves{}
	table := newGrid("clients", "", "req/s", "CPU s/10k", "p50", "p99", "lost", "Caddy's memory", "least and most of a fair share")
	for _, n := range []int{1, 4, 16, 64, 256, 1000, 4000, 10_000} {
		d := max(*scaleTime, time.Duration(n)*time.Millisecond) // connecting takes a part of it
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			for _, b := range []harness.Backend{harness.FPM, harness.SharedLean} {
				// As many may wait as there are clients: the default is 1024.
				o := harness.Options{Site: site, Workers: speedWorkers, Global: fmt.Sprintf("php_pool {\nmax_queue %d\n}", max(1024, n))}
				r := startScaled(t, harness.Prepare(t, b, o), speedCaddyfile)
				checkResponse(t, r.rival, hello(1))
				measure(t, r.rival, hello(16), time.Second)
				c := &tally{rival: r.name}
				var caddy atomic.Int64
				for range *scaleRounds {
					half := time.AfterFunc(d/2, func() { caddy.Store(max(r.ofCaddy(), caddy.Load())) })
					c.runs = append(c.runs, measure(t, r.rival, hello(n), d))
					half.Stop()
				}
				fair := "-"
				if r.ours {
					least, most := shares(t, r.server, n)
					fair = fmt.Sprintf("%.2f, %.2f", least, most)
				}
				if c.lost() == 0 { // otherwise most responses are errors
					rates.add(r.name, n, c.rate())
				}
				table.row(fmt.Sprint(n), r.name, fmt.Sprintf("%.0f", c.rate()), fmt.Sprintf("%.2f", c.cpu()),
					millis(median(c.runs, func(r reading) time.Duration { return r.p50 })), millis(c.p99()), fmt.Sprint(c.lost()),
					megabytes(caddy.Load()), fair)
				r.stop()
			}
		})
	}
	table.print()
	t.Run("idle", func(t *testing.T) { beside(t, site, 10_000) })
	return rates.all
}

// beside measures 16 clients alone, and then beside idle connections.
func beside(t *testing.T, site string, idle int) {
	r := startScaled(t, harness.Prepare(t, harness.SharedLean, harness.Options{Site: site, Workers: speedWorkers}), speedCaddyfile)
	table := newGrid("16 clients", "req/s", "CPU s/10k", "p99", "lost", "Caddy's memory")
	var conns []net.Conn
	t.Cleanup(func() { harness.CloseAll(conns) })
	for _, what := range []string{"alone", fmt.Sprintf("beside %d that are idle", idle)} {
		c := roundAfterRound(t, []*scaled{r}, hello(16))[0]
		table.row(what, fmt.Sprintf("%.0f", c.rate()), fmt.Sprintf("%.2f", c.cpu()), millis(c.p99()), fmt.Sprint(c.lost()), megabytes(r.ofCaddy()))
		if len(conns) == 0 {
			conns = connections(t, r.server, idle)
			for _, conn := range conns {
				if err := requestHello(conn, bufio.NewReader(conn)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	table.print()
}

// shares has n clients send requests without a pause, and returns the numbers of
// responses of the clients with the fewest and the most, divided by the mean.
func shares(t *testing.T, s *harness.Server, n int) (least, most float64) {
	t.Helper()
	// Time for about ten requests each, but at least two seconds; before that, time
	// for all clients to start.
	d := max(2*time.Second, time.Duration(n)*time.Millisecond)
	conns := connections(t, s, n)
	defer harness.CloseAll(conns)
	served := make([]float64, n)
	startSignal := make(chan struct{})
	var counts, over atomic.Bool
	var clients sync.WaitGroup
	for i, conn := range conns {
		clients.Go(func() {
			from := bufio.NewReaderSize(conn, 512)
			for <-startSignal; !over.Load(); {
				if err := requestHello(conn, from); err != nil {
					t.Error(err)
					return
				}
				if counts.Load() && !over.Load() {
					served[i]++
				}
			}
		})
	}
	close(startSignal)
	<-time.After(d / 4)
	counts.Store(true)
	<-time.After(d) // the measured interval
	over.Store(true)
	clients.Wait()
	sum := 0.0
	for _, each := range served {
		sum += each
	}
	return slices.Min(served) / sum * float64(n), slices.Max(served) / sum * float64(n)
}

// connections opens n connections.
func connections(t *testing.T, s *harness.Server, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", strings.TrimPrefix(s.URL, "http://")); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	return conns
}

// requestHello requests hello.php on a connection, which stays open.
func requestHello(conn net.Conn, from *bufio.Reader) error {
	if _, err := io.WriteString(conn, "GET /hello.php HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(from, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != 200 || string(body) != "hello\n") {
		err = fmt.Errorf("got status %d and %q", res.StatusCode, body)
	}
	return err
}
