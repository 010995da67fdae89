package command

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
)

// fakeAdmin is an admin API with the responses of a test.
type fakeAdmin struct {
	*httptest.Server
	address string
	conns   sync.Map // the state of each connection

	mu        sync.Mutex
	responses map[string]string // by method and escaped path
	received  []string          // method, path, query and body of each request
}

// newAdmin starts a fakeAdmin. The keys are method and path, such as "GET
// /php_pool/pools". A response that begins with "409 " is an error message.
func newAdmin(t *testing.T, responses map[string]string) *fakeAdmin {
	t.Helper()
	a := &fakeAdmin{responses: responses}
	a.Server = httptest.NewUnstartedServer(a)
	a.Config.ConnState = func(c net.Conn, s http.ConnState) { a.conns.Store(c, s) }
	a.Start()
	t.Cleanup(a.Close)
	a.address = strings.TrimPrefix(a.URL, "http://")
	return a
}

func (a *fakeAdmin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	body.ReadFrom(r.Body)
	call := r.Method + " " + r.URL.EscapedPath()
	a.mu.Lock()
	defer a.mu.Unlock()
	received := call
	if r.URL.RawQuery != "" {
		received += "?" + r.URL.RawQuery
	}
	if body.Len() > 0 {
		received += " " + body.String()
	}
	a.received = append(a.received, received)
	response, ok := a.responses[call]
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		w.Write([]byte(`{"error":"unexpected call: ` + call + `"}`))
	case strings.HasPrefix(response, "409 "):
		w.WriteHeader(http.StatusConflict)
		w.Write([]byte(`{"error":"` + response[4:] + `"}`))
	default:
		w.Write([]byte(response))
	}
}

// requests returns the received requests that begin with prefix.
func (a *fakeAdmin) requests(prefix string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []string
	for _, received := range a.received {
		if strings.HasPrefix(received, prefix) {
			list = append(list, received)
		}
	}
	return list
}

// run runs `caddy php-pool` with these arguments and returns its output.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return runWith(t, func(context.Context, []byte) ([]doctor.Pool, error) { return nil, nil }, args...)
}

// runWith does the same with a planner.
func runWith(t *testing.T, plan Planner, args ...string) (string, error) {
	t.Helper()
	root := &cobra.Command{Use: "caddy", SilenceUsage: true}
	cmd := &cobra.Command{Use: "php-pool"}
	addCommands(cmd, plan)
	root.AddCommand(cmd)
	var out bytes.Buffer
	root.SetArgs(append([]string{"php-pool"}, args...))
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// file creates a file and returns its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantLines compares text line by line.
func wantLines(t *testing.T, got string, want ...string) {
	t.Helper()
	if text := strings.Join(want, "\n") + "\n"; got != text {
		t.Errorf("got:\n%s\nwant:\n%s", got, text)
	}
}

// wantError fails unless the error contains all parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("got no error, want one with %q", parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got error %q, want one with %q", err, part)
		}
	}
}

// Two pools in the format of the admin API: one healthy, one with problems.
const (
	healthyPool = `{"name":"quiet","manager":"dynamic","generation":1,"php":{"version":"8.2.36"},
		"workers":{"total":2,"idle":2,"max":16},"queue":{"max":1024},"requests":{"total":7},"master_exits":0,
		"workers_list":[{"id":1,"pid":100,"state":"idle","requests":4,"memory_bytes":1048576,"cpu_seconds":0.5},
			{"id":2,"pid":101,"state":"idle","requests":3,"cpu_seconds":0.1}]}`
	failingPool = `{"name":"a/b","manager":"static","generation":3,"php":{"version":"8.4.1"},"memory_bytes":209715200,
		"workers":{"total":2,"busy":1,"draining":1,"max":2,"max_reached":50},"queue":{"length":5,"max":5},
		"requests":{"total":1000,"failed":3,"rejected":9,"rejections":{"queue_full":8,"client_limit":0,"quarantined":1},"slow":2},"master_exits":1,"exits":{"crashed":4,"recycled":1},
		"last_failure":"php-cgi said: no","quarantined":{"/srv/bad.php":"2026-11-23T12:00:00Z"},
		"workers_list":[
			{"id":7,"pid":200,"state":"busy","requests":10,"memory_bytes":2097152,"cpu_seconds":9,
				"request":{"method":"GET","uri":"/\u001b[31mred","script":"/srv/index.php","duration_seconds":3.25}},
			{"id":8,"pid":201,"state":"draining","requests":2,"memory_bytes":3145728,"cpu_seconds":2,
				"request":{"method":"POST","uri":"/export","script":"/srv/index.php","duration_seconds":1234.5}}]}`
)

// twoPools starts an admin API with healthyPool and failingPool.
func twoPools(t *testing.T) *fakeAdmin {
	t.Helper()
	return newAdmin(t, map[string]string{
		"GET /php_pool/pools":                "[" + failingPool + "," + healthyPool + "]",
		"GET /php_pool/pools/quiet":          healthyPool,
		"GET /php_pool/pools/a%2Fb":          failingPool,
		"POST /php_pool/pools/quiet/restart": `{"name":"quiet","generation":2}`,
	})
}
