//go:build linux && bench

package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"
)

// loadKind says how requests are sent that wrk does not send.
type loadKind struct {
	name   string
	tls    bool // over HTTP/2
	burst  time.Duration
	beside string // a file that two clients of wrk download meanwhile
}

// loadKinds are those of TestSpeedVariants, all for hello.php with 16 clients; in bursts
// 64 clients send one request each at once, ten times a second.
var loadKinds = []loadKind{
	{name: "hello, 16, HTTP/2", tls: true},
	{name: "hello, bursts of 64", burst: 100 * time.Millisecond},
	{name: "hello, 16, beside downloads", beside: "/large.bin"},
}

var wrkTransfer = regexp.MustCompile(`Transfer/sec:\s+(\S+)`)

// loadTable measures one kind of load on the servers in turns, and returns the rows of a
// table: requests per second, CPU, response times and the speed of the downloads.
func loadTable(t *testing.T, kind loadKind, rivals []*rival) string {
	t.Helper()
	all := make([][]loadResult, len(rivals))
	for range *speedRounds {
		for i, r := range rivals {
			all[i] = append(all[i], load(t, kind, r))
		}
	}
	text := fmt.Sprintf("\n| %s | req/s | CPU s/10k | CPUs used | p50 ms | p99 ms | p99.9 ms | download |\n|---|---|---|---|---|---|---|---|\n", kind.name)
	for i, r := range rivals {
		slices.SortFunc(all[i], func(a, b loadResult) int { return int(a.rate - b.rate) })
		m := all[i][len(all[i])/2]
		text += fmt.Sprintf("| %s | %.0f | %.2f | %.2f | %.2f | %.2f | %.2f | %s |\n", r.name, m.rate, m.cpu/m.rate*10_000, m.cpu,
			ms(m.times[len(m.times)/2]), ms(m.times[len(m.times)*99/100]), ms(m.times[len(m.times)*999/1000]), m.transfer)
	}
	return text
}

type loadResult struct {
	rate, cpu float64 // per second
	times     []time.Duration
	transfer  string
}

// load sends requests to a server for a while.
func load(t *testing.T, kind loadKind, r *rival) (m loadResult) {
	t.Helper()
	clients := 16
	if kind.burst > 0 {
		clients = 64
	}
	var download *exec.Cmd
	var out []byte
	var wg sync.WaitGroup
	if kind.beside != "" {
		download = exec.Command("wrk", "-t1", "-c2", fmt.Sprintf("-d%ds", int(speedTime.Seconds())+1), r.url+kind.beside)
		wg.Go(func() { out, _ = download.CombinedOutput() })
	}
	transport := &http.Transport{MaxIdleConnsPerHost: clients, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	var mu sync.Mutex
	before, start := r.cpu(), time.Now()
	end := start.Add(*speedTime)
	var requests sync.WaitGroup
	for range clients {
		requests.Go(func() {
			var mine []time.Duration
			for at := start; at.Before(end); at = time.Now() {
				if kind.burst > 0 {
					<-time.After(time.Until(start.Add(time.Since(start).Truncate(kind.burst) + kind.burst)))
				}
				begin := time.Now()
				if err := hit(client, r.url+"/hello.php"); err != nil {
					t.Error(err)
					return
				}
				mine = append(mine, time.Since(begin))
			}
			mu.Lock()
			defer mu.Unlock()
			m.times = append(m.times, mine...)
		})
	}
	requests.Wait()
	elapsed := time.Since(start).Seconds()
	m.cpu = (r.cpu() - before).Seconds() / elapsed
	m.rate = float64(len(m.times)) / elapsed
	wg.Wait()
	if found := wrkTransfer.FindSubmatch(out); found != nil {
		m.transfer = string(found[1])
	}
	if len(m.times) == 0 {
		t.Fatal("no responses")
	}
	slices.Sort(m.times)
	return m
}

// hit requests a page and reads the response.
func hit(client *http.Client, url string) error {
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("got status %d", res.StatusCode)
	}
	return err
}

// idleTable measures what servers use without requests.
func idleTable(rivals []*rival) string {
	text := "\n| idle | CPU in percent of one |\n|---|---|\n"
	for _, r := range rivals {
		before, start := r.cpu(), time.Now()
		<-time.After(*speedTime) // what is measured
		text += fmt.Sprintf("| %s | %.1f |\n", r.name, 100*(r.cpu()-before).Seconds()/time.Since(start).Seconds())
	}
	return text
}
