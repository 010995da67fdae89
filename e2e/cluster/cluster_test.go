//go:build linux

package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestCluster has one network for all rows, which run one after the other.
func TestCluster(t *testing.T) {
	c := newCluster(t)
	for _, row := range []struct {
		name string
		run  func(*cluster, *testing.T)
	}{
		{"KilledNode", (*cluster).killedNode},
		{"StoppedNode", (*cluster).stoppedNode},
		{"Drain", (*cluster).drain},
		{"Deploy", (*cluster).deployReleases},
		{"Redis", (*cluster).redisGone},
		{"Forwarded", (*cluster).forwarded},
		{"FullNode", (*cluster).fullNode},
		{"AllFull", (*cluster).allFull},
		{"Cable", (*cluster).cable},
	} {
		if !t.Run(row.name, func(t *testing.T) { row.run(c, t) }) {
			t.FailNow() // the next ones begin with all machines
		}
	}
}

// replace starts a node again, with other lines.
func (c *cluster) replace(name, lines string) {
	c.t.Helper()
	if !c.nodes[name].Stopped {
		c.nodes[name].Stop(syscall.SIGKILL)
	}
	c.startNode(name, lines)
}

// phpPool runs a command on a node. It returns the output and the exit code.
func (c *cluster) phpPool(node string, args ...string) (string, int) {
	c.t.Helper()
	s := c.nodes[node]
	command := s.Command(append([]string{"php-pool"}, args...)...)
	cmd := exec.CommandContext(c.t.Context(), command.Args[0], command.Args[1:]...)
	cmd.Env, cmd.Dir = command.Env, s.Dir
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// killedNode kills one node after the other. Only what must not be sent twice is lost: a
// POST that was on its way at that moment.
func (c *cluster) killedNode(t *testing.T) {
	l := c.startLoad(6, 100*time.Millisecond)
	l.waitShares(t, 0.2, nodeNames...)
	type kill struct{ before, after time.Time }
	var kills []kill
	for range max(1, harness.Rounds(1)) {
		for _, name := range nodeNames {
			k := kill{before: time.Now()}
			c.nodes[name].Stop(syscall.SIGKILL)
			k.after = time.Now()
			kills = append(kills, k)
			l.waitAway(t, name)
			c.statusOfAll(t, name)
			c.replace(name, "")
			l.waitShares(t, 0.2, nodeNames...)
		}
	}
	failed := l.stop()
	for i := range failed {
		r := &failed[i]
		during := false
		for _, k := range kills {
			during = during || r.start.Before(k.after) && r.end.After(k.before)
		}
		if r.method != http.MethodPost || !during {
			t.Errorf("lost: %v", r)
		}
	}
	if len(failed) > 6*len(kills) {
		t.Errorf("lost %d POST requests with %d kills", len(failed), len(kills))
	}
	t.Logf("%d requests, %d POST lost", len(l.all()), len(failed))
}

// statusOfAll checks what the status of all machines says while one of them is dead.
func (c *cluster) statusOfAll(t *testing.T, dead string) {
	t.Helper()
	args, alive := []string{"status"}, ""
	for _, node := range nodeNames {
		args = append(args, "--address", "unix/"+c.nodes[node].Dir+"/admin.sock")
		if node != dead {
			alive = node
		}
	}
	out, code := c.phpPool(alive, args...)
	words := strings.Join(strings.Fields(out), " ") // the names of directories differ in length
	if responding := strings.Count(words, "/admin.sock main "); code != 1 || responding != len(nodeNames)-1 ||
		strings.Count(words, "/admin.sock no Caddy responds") != 1 || !strings.Contains(out, "\nTOTAL ") {
		t.Errorf("%s is dead: got exit code %d and\n%s", dead, code, out)
	}
}

// ready returns the response to a node's ping, as the balancer gets it.
func (c *cluster) ready(node string) (int, string) {
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://"+address(node)+":8080/ready", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := c.client("front").Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

// wantReady checks that ping.
func (c *cluster) wantReady(t *testing.T, node string, status int, text string) {
	t.Helper()
	if gotStatus, got := c.ready(node); gotStatus != status || got != text {
		t.Errorf("the ping of %s: got %d %q, want %d %q", node, gotStatus, got, status, text)
	}
}

// stoppedNode stops a node as systemd does: nothing is lost.
func (c *cluster) stoppedNode(t *testing.T) {
	l := c.startLoad(6, 100*time.Millisecond)
	l.waitShares(t, 0.2, nodeNames...)
	node := c.nodes["node2"]
	node.Stopped = true
	node.Signal(syscall.SIGTERM)
	stopping := false
	harness.Eventually(t, func() error {
		status, text := c.ready("node2")
		stopping = stopping || status == http.StatusServiceUnavailable && text == "stopping"
		select {
		case <-node.Exited:
			return nil
		default:
			return fmt.Errorf("the node has not exited: %d %s", status, text)
		}
	})
	if !stopping {
		t.Error("the ping did not say that the node stops")
	}
	node.WaitGone()
	if node.ExitCode != 0 {
		t.Errorf("exit code %d", node.ExitCode)
	}
	l.wait(50)
	c.startNode("node2", "")
	l.waitShares(t, 0.2, nodeNames...)
	wantNone(t, l, l.stop())
}

// drain takes a node out and back.
func (c *cluster) drain(t *testing.T) {
	l := c.startLoad(6, 200*time.Millisecond)
	l.waitShares(t, 0.2, nodeNames...)
	if out, code := c.phpPool("node3", "drain", "--all", "--wait", "2m"); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	c.wantReady(t, "node3", 503, "draining")
	if p := c.nodes["node3"].Pool(); p.Workers.Busy > 0 || p.Queue.Length > 0 {
		t.Errorf("the node is busy: %+v", p)
	}
	l.waitAway(t, "node3")
	if out, code := c.phpPool("node3", "drain", "--all", "--undo"); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	l.waitShares(t, 0.2, nodeNames...)
	wantNone(t, l, l.stop())
}

// redisGone stops redis: nodes are ready all the same, because no other one would be better.
func (c *cluster) redisGone(t *testing.T) {
	c.redis.Kill()
	for _, node := range nodeNames {
		res := c.get(node, "/", nil)
		if res.status == http.StatusOK {
			t.Errorf("%s: got 200 without redis", node)
		}
		c.wantReady(t, node, 200, "pong")
	}
	c.startRedis()
	for _, node := range nodeNames {
		if res := c.get(node, "/", nil); res.status != http.StatusOK {
			t.Errorf("%s: got %d %s", node, res.status, res.text)
		}
		c.wantReady(t, node, 200, "pong")
	}
}

// response is a response that has arrived.
type response struct {
	status int
	header http.Header
	text   string
}

// get requests a page of a machine: from redis, whose machine no one trusts, unless it is
// the balancer's.
func (c *cluster) get(host, path string, header http.Header) response {
	c.t.Helper()
	from, url := "redis", "http://"+address(host)+":8080"+path
	if host == "https" {
		url = "https://" + address("front") + ":8443" + path
	}
	client := c.client(from)
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	ctx, cancel := context.WithTimeout(c.t.Context(), harness.MaxWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	res, err := client.Do(req)
	if err != nil {
		return response{text: err.Error()}
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return response{res.StatusCode, res.Header, string(text)}
}

// forwarded looks at what PHP knows of the client: through the balancer, and past it.
func (c *cluster) forwarded(t *testing.T) {
	lie := func() http.Header {
		return http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"203.0.113.7"}, "X-Forwarded-Port": {"443"}}
	}
	client := " client=" + address("redis") + ";"
	for _, row := range []struct {
		host   string
		header http.Header
		want   string
	}{
		{"https", nil, " https=on" + client},
		{"front", nil, " https=off" + client},
		{"front", lie(), " https=off" + client},
		{"node1", lie(), " https=off" + client},
	} {
		if res := c.get(row.host, "/", row.header); res.status != 200 || !strings.HasSuffix(res.text, row.want) {
			t.Errorf("%s: got %d %s, want %s", row.host, res.status, res.text, row.want)
		}
	}
}

// tiny are the options of a node that is full at once.
const tiny = "max_workers 1\nmax_queue 1\nqueue_timeout 3s"

// fullNode makes one node tiny. The others serve what it refuses, POST too. The 503 of an
// application is not repeated.
func (c *cluster) fullNode(t *testing.T) {
	c.replace("node1", tiny)
	defer c.replace("node1", "")
	l := c.startLoad(16, 100*time.Millisecond)
	harness.Eventually(t, func() error {
		if p := c.nodes["node1"].Pool(); p.Requests.Rejected < 20 {
			return fmt.Errorf("the node has refused %d requests", p.Requests.Rejected)
		}
		return nil
	})
	l.wait(500)
	failed := l.stop()
	total := len(l.all())
	if len(failed)*100 > total {
		t.Errorf("%d of %d requests failed: %s", len(failed), total, summary(failed))
	}
	t.Logf("%d requests, %d failed, %d refused by the full node", total, len(failed), c.nodes["node1"].Pool().Requests.Rejected)

	ran := func() (n int) {
		for _, node := range nodeNames {
			n += c.nodes[node].Pool().Requests.Total
		}
		return n
	}
	before := ran()
	res := c.get("front", "/?maintenance=1&id=m", nil)
	if res.status != http.StatusServiceUnavailable || !strings.Contains(res.text, "id=m") {
		t.Errorf("got %d %s", res.status, res.text)
	}
	if n := ran() - before; n != 1 {
		t.Errorf("the application's 503 was made %d times", n)
	}
}

// allFull makes all nodes tiny: requests wait in the balancer, and are refused at last.
func (c *cluster) allFull(t *testing.T) {
	for _, node := range nodeNames {
		c.replace(node, tiny)
		defer c.replace(node, "")
	}
	l := c.startLoad(12, 50*time.Millisecond)
	harness.Eventually(t, func() error {
		for _, node := range nodeNames {
			if p := c.nodes[node].Pool(); p.Requests.Rejected == 0 {
				return fmt.Errorf("%s has refused no request", node)
			}
		}
		return nil
	})
	l.wait(100)
	failed := l.stop()
	wantNone(t, l, failed)

	// Two requests that end after all others fill each of them.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, node := range nodeNames {
		for range 2 {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address(node)+":8080/?sleep=600000", nil)
			if err != nil {
				t.Fatal(err)
			}
			client := c.client("redis")
			go func() {
				for ctx.Err() == nil { // the queue's limit is shorter than the balancer's
					if res, err := client.Do(req); err == nil {
						res.Body.Close()
					}
				}
			}()
		}
	}
	harness.Eventually(t, func() error {
		for _, node := range nodeNames {
			if p := c.nodes[node].Pool(); p.Workers.Busy == 0 || p.Queue.Length == 0 {
				return fmt.Errorf("%s is not full", node)
			}
		}
		return nil
	})
	res := c.get("front", "/?id=late", nil)
	if res.status != http.StatusServiceUnavailable || res.header.Get("Retry-After") == "" {
		t.Errorf("got %d, Retry-After %q: %s", res.status, res.header.Get("Retry-After"), res.text)
	}
	if got := res.header.Get("Proxy-Status"); got != "" {
		t.Errorf("clients get Proxy-Status %q", got)
	}
}

// cable pulls the cable of a node: no connection is reset. The balancer gives up after
// response_header_timeout.
func (c *cluster) cable(t *testing.T) {
	c.stopFront()
	c.startFront("response_header_timeout 60s", "response_header_timeout 3s")
	l := c.startLoad(6, 100*time.Millisecond)
	l.waitShares(t, 0.2, nodeNames...)
	c.plug("node1", false)
	l.waitAway(t, "node1")
	l.wait(200)
	c.plug("node1", true)
	l.waitShares(t, 0.2, nodeNames...)
	failed := l.stop()
	for i := range failed {
		if r := &failed[i]; r.method != http.MethodPost || r.status != http.StatusGatewayTimeout && r.status != http.StatusBadGateway {
			t.Errorf("lost: %v", r)
		}
	}
	longest := time.Duration(0)
	for _, r := range l.all() {
		longest = max(longest, r.end.Sub(r.start))
	}
	if longest > 15*time.Second { // TCP gives up after minutes
		t.Errorf("a client waited for %v", longest)
	}
	t.Logf("%d requests, %d POST lost, longest %v", len(l.all()), len(failed), longest)
}
