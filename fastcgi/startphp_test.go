//go:build unix

package fastcgi

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// php is a real php-cgi process, which serves one connection at a time.
type php struct {
	t    testing.TB
	cmd  *exec.Cmd
	addr string
	root string // the directory of the scripts
}

// startPHP starts php-cgi on a new unix socket with ini as -d options. It is
// killed at the end of the test.
func startPHP(tb testing.TB, ini ...string) *php {
	tb.Helper()
	binary, err := exec.LookPath("php-cgi")
	if err != nil && testing.Short() {
		tb.Skip("needs php-cgi, which is missing: make test installs it")
	}
	if err != nil {
		tb.Fatalf("php-cgi is missing: `make test` installs it (%v)", err)
	}
	root, err := filepath.Abs("testdata")
	if err != nil {
		tb.Fatal(err)
	}
	addr := filepath.Join(tb.TempDir(), "php.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: addr, Net: "unix"})
	if err != nil {
		tb.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	socket, err := l.File() // os/exec makes it blocking, as php-cgi needs it
	if err != nil {
		tb.Fatal(err)
	}
	args := []string{"-n", "-d", "post_max_size=64M", "-d", "memory_limit=256M"}
	for _, s := range ini {
		args = append(args, "-d", s)
	}
	cmd := exec.Command(binary, args...)
	cmd.Stdin = socket
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to kill forked scripts too
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PHP_FCGI_MAX_REQUESTS=0"}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	socket.Close()
	l.Close()
	tb.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	return &php{t: tb, cmd: cmd, addr: addr, root: root}
}

// dial connects to php-cgi and completes the handshake.
func (p *php) dial() *Conn {
	p.t.Helper()
	nc, err := net.Dial("unix", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	c := NewConn(nc)
	p.t.Cleanup(func() { c.Close() })
	handshake := c.Handshake
	if p.closesAfterValues() {
		handshake = c.PingRequest
	}
	if err := handshake(testContext(p.t)); err != nil {
		p.t.Fatalf("handshake: %v", err)
	}
	return c
}

// closesAfterValues reports whether this is a PHP before 8.2.13, which closes a
// connection after GET_VALUES (php bug 76922).
func (p *php) closesAfterValues() bool {
	p.t.Helper()
	out, err := exec.Command(p.cmd.Path, "-v").Output()
	if err != nil {
		p.t.Fatal(err)
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(string(out), "PHP %d.%d.%d", &major, &minor, &patch); err != nil {
		p.t.Fatalf("%v in %q", err, out)
	}
	return slices.Compare([]int{major, minor, patch}, []int{8, 2, 13}) < 0
}

// request returns a request for a script in testdata.
func (p *php) request(method, script, query string, length int64) *Request {
	r := NewRequest()
	for _, v := range [...][2]string{
		{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"REQUEST_METHOD", method},
		{"SCRIPT_FILENAME", filepath.Join(p.root, script)},
		{"SCRIPT_NAME", "/" + script},
		{"REQUEST_URI", "/" + script + "?" + query},
		{"QUERY_STRING", query},
		{"REDIRECT_STATUS", "200"},
		{"CONTENT_TYPE", "application/octet-stream"},
	} {
		r.AddParam(v[0], v[1])
	}
	if length > 0 {
		r.AddParam("CONTENT_LENGTH", strconv.FormatInt(length, 10))
	}
	r.ContentLength = length
	r.Head = method == "HEAD"
	return r
}

func BenchmarkRoundTrip_PHP(b *testing.B) {
	p := startPHP(b)
	c := p.dial()
	script := filepath.Join(p.root, "hello.php")
	benchmarkRoundTrip(b.Context(), b, c, func(r *Request) {
		addParams(r)
		r.AddParam("SCRIPT_FILENAME", script)
	})
}
