//go:build unix

package fastcgi

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// get runs a script and checks that the connection is reusable afterwards.
func (p *php) get(c *Conn, script, query string) (head string, body string) {
	p.t.Helper()
	r := p.request("GET", script, query, 0)
	defer r.Free()
	resp, body, err := do(p.t, c, r)
	if err != nil {
		p.t.Fatalf("%s?%s: %v", script, query, err)
	}
	if !c.Reusable() || c.Broken() {
		p.t.Fatalf("%s?%s: got reusable %v, broken %v, want true, false", script, query, c.Reusable(), c.Broken())
	}
	if err := c.Check(); err != nil {
		p.t.Fatalf("%s?%s: Check: %v", script, query, err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, resp.Status)
	resp.Header.Write(&b)
	return strings.ReplaceAll(b.String(), "\r\n", "\n"), body
}

func TestPHP_SequentialRequests(t *testing.T) {
	p := startPHP(t, "expose_php=0")
	c := p.dial()
	for range 3 {
		head, body := p.get(c, "hello.php", "")
		if want := "200 OK\nContent-Type: text/html; charset=UTF-8\n"; head != want || body != "hello" {
			t.Errorf("got %q, %q, want %q, hello", head, body, want)
		}
		if !p.closesAfterValues() {
			if err := c.Ping(testContext(t)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.PingRequest(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPHP_RequestBodySizes(t *testing.T) {
	p := startPHP(t)
	c := p.dial()
	data := make([]byte, 9<<20)
	rand.Read(data)
	for _, size := range []int{0, 1, 65_535, 65_536, 200_000, len(data)} {
		r := p.request("POST", "echo.php", "", int64(size))
		r.Body = bytes.NewReader(data[:size])
		_, body, err := do(t, c, r)
		r.Free()
		if err != nil || body != string(data[:size]) {
			t.Fatalf("body of %d bytes: got %d back, error %v", size, len(body), err)
		}
		if !c.Reusable() {
			t.Fatalf("body of %d bytes: not reusable", size)
		}
	}
}

func TestPHP_UnreadRequestBody(t *testing.T) {
	p := startPHP(t)
	c := p.dial()
	for range 3 {
		r := p.request("POST", "hello.php", "", 9<<20)
		r.Body = bytes.NewReader(make([]byte, 9<<20))
		_, body, err := do(t, c, r)
		r.Free()
		if err != nil || body != "hello" || !c.Reusable() {
			t.Fatalf("got %q, error %v, reusable %v", body, err, c.Reusable())
		}
	}
}

func TestPHP_Params(t *testing.T) {
	p := startPHP(t, "max_input_vars=10000")
	c := p.dial()
	for name, params := range map[string]map[string]string{
		"3000":  numbered(3000, 100),
		"65 KB": {"X_LARGE": strings.Repeat("y", maxContent-1-4-len("X_LARGE")), "X_SMALL": "", "X_128": strings.Repeat("z", 128)},
		"none":  {},
	} {
		r := p.request("GET", "params.php", "", 0)
		values := url.Values{}
		for n, v := range params {
			r.AddParam(n, v)
			values.Set(n, v)
		}
		_, body, err := do(t, c, r)
		r.Free()
		want := fmt.Sprintf("%d %x", len(params), md5.Sum([]byte(values.Encode())))
		if err != nil || body != want {
			t.Errorf("%s: got %q, error %v, want %q", name, body, err, want)
		}
	}
}

// numbered returns n parameters with values of up to size bytes.
func numbered(n, size int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("X_%04d", i)] = strings.Repeat("v", i%size)
	}
	return m
}

func TestPHP_ResponseHead(t *testing.T) {
	p := startPHP(t, "expose_php=0", "default_charset=")
	c := p.dial()
	q := func(pairs ...string) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v.Encode()
	}
	for _, tt := range []struct{ name, query, head, body string }{
		{"plain", q("body", "x"), "200 OK\nContent-Type: text/html\n", "x"},
		{"no header at all", q("bare", "1", "body", "x"), "200 OK\n", "x"},
		{"code", q("code", "418"), "418 I'm a teapot\nContent-Type: text/html\n", ""},
		{"location", q("h[]", "Location: /x"), "302 Found\nContent-Type: text/html\nLocation: /x\n", ""},
		{
			"cookies", q("h[]", "Set-Cookie: a=1", "h[]", "Set-Cookie: b=2"),
			"200 OK\nContent-Type: text/html\nSet-Cookie: a=1\nSet-Cookie: b=2\n", "",
		},
		{"204 with a body", q("code", "204", "body", "x"), "204 No Content\nContent-Type: text/html\n", ""},
		{"304 with a body", q("code", "304", "body", "x"), "304 Not Modified\n", ""},
		{"length too small", q("h[]", "Content-Length: 2", "body", "xyz"), "200 OK\nContent-Length: 2\nContent-Type: text/html\n", "xy"},
		{"length invalid", q("h[]", "Content-Length: two", "body", "xyz"), "200 OK\nContent-Type: text/html\n", "xyz"},
		{"invalid name", q("h[]", "X Y: z", "body", "x"), "200 OK\nContent-Type: text/html\n", "x"},
	} {
		head, body := p.get(c, "head.php", tt.query)
		if head != tt.head || body != tt.body {
			t.Errorf("%s: got %q, %q, want %q, %q", tt.name, head, body, tt.head, tt.body)
		}
	}
	head, body := p.get(c, "head.php", "long=100000&body=x")
	if want := "X-Long: " + strings.Repeat("x", 100_000) + "\n"; !strings.Contains(head, want) || body != "x" {
		t.Errorf("header of 100 KB: got a header of %d bytes, body %q", len(head), body)
	}
}

func TestPHP_InvalidStatusKeepsConnReusable(t *testing.T) {
	p := startPHP(t)
	c := p.dial()
	for _, status := range []string{"99 X", "101 Switch", "abc", "1000", "0"} {
		r := p.request("GET", "head.php", url.Values{"h[]": {"Status: " + status}, "body": {"x"}}.Encode(), 0)
		_, _, err := do(t, c, r)
		r.Free()
		if e, ok := errors.AsType[*ProtocolError](err); !ok || !strings.Contains(e.Error(), status) {
			t.Errorf("status %q: got error %v, want a ProtocolError with it", status, err)
		}
		if !c.Reusable() || c.Broken() {
			t.Errorf("status %q: got reusable %v, broken %v, want true, false", status, c.Reusable(), c.Broken())
		}
	}
	if _, body := p.get(c, "hello.php", ""); body != "hello" {
		t.Errorf("next request: got %q, want hello", body)
	}
}

func TestPHP_StatusLine(t *testing.T) {
	for _, ini := range []string{"cgi.rfc2616_headers=1", "cgi.nph=1"} {
		p := startPHP(t, ini, "expose_php=0")
		c := p.dial()
		for _, code := range []string{"200", "404"} {
			if head, _ := p.get(c, "head.php", "code="+code); !strings.HasPrefix(head, code+" ") {
				t.Errorf("%s: got %q, want %s", ini, head, code)
			}
		}
	}
}

func TestPHP_HEAD(t *testing.T) {
	p := startPHP(t)
	c := p.dial()
	r := p.request("HEAD", "head.php", "h[]=Content-Length:+5&body=hello", 0)
	defer r.Free()
	resp, body, err := do(t, c, r)
	if err != nil || body != "" || resp.ContentLength != 5 || !c.Reusable() {
		t.Errorf("got %q, length %d, error %v, reusable %v", body, resp.ContentLength, err, c.Reusable())
	}
}

func TestPHP_Stderr(t *testing.T) {
	p := startPHP(t, "log_errors=1", "html_errors=0")
	c := p.dial()
	var stderr strings.Builder
	r := p.request("GET", "stderr.php", "", 0)
	r.Stderr = &stderr
	_, body, err := do(t, c, r)
	if err != nil || body != strings.Repeat("x", 20_000) {
		t.Errorf("got %d bytes, error %v", len(body), err)
	}
	if got := stderr.String(); !strings.Contains(got, "before the head") || !strings.Contains(got, "after the head") {
		t.Errorf("got stderr %q, want both messages", got)
	}
}

func TestPHP_FailedScript(t *testing.T) {
	p := startPHP(t, "display_errors=0", "log_errors=0", "memory_limit=8M")
	c := p.dial()
	for how, want := range map[string]string{"exit": "200", "fatal": "500", "memory": "500"} {
		if head, _ := p.get(c, "exit.php", "how="+how); !strings.HasPrefix(head, want) {
			t.Errorf("%s: got %q, want %s", how, head, want)
		}
	}
}

func TestPHP_KilledDuringRequest(t *testing.T) {
	for query, responseStarted := range map[string]bool{"": false, "body=1": true} {
		p := startPHP(t, "extension=posix", "display_startup_errors=0")
		c := p.dial()
		r := p.request("GET", "die.php", query, 0)
		_, _, err := do(t, c, r)
		e, ok := errors.AsType[*TransportError](err)
		if !ok || !errors.Is(err, io.ErrUnexpectedEOF) || e.ResponseStarted != responseStarted || e.Sent == 0 {
			t.Errorf("%q: got %v, want an unexpected EOF", query, err)
		}
		if c.Reusable() || c.Broken() {
			t.Errorf("%q: got reusable %v, broken %v, want false, false", query, c.Reusable(), c.Broken())
		}
		r.Free()
	}
}

func TestPHP_KilledWhileIdle(t *testing.T) {
	p := startPHP(t)
	c := p.dial()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Process.Kill()
	p.cmd.Wait()
	if err := c.Check(); err == nil || c.Reusable() {
		t.Errorf("Check: got %v, reusable %v, want an error, false", err, c.Reusable())
	}
}

// TestPHP_ForkBreaksConn runs a script that forks: the copy also has the
// connection, and sends a second response to the same request.
func TestPHP_ForkBreaksConn(t *testing.T) {
	p := startPHP(t)
	c := p.dial()
	r := p.request("GET", "fork.php", "", 0)
	defer r.Free()
	_, body, err := do(t, c, r)
	if body == "no pcntl" {
		t.Fatal("this PHP cannot fork: use one with the pcntl extension, such as Debian's php-cgi")
	}
	// The second response comes with the first, between its records, or later.
	for deadline := time.Now().Add(10 * time.Second); err == nil && !c.Broken(); c.Check() {
		if time.Now().After(deadline) {
			t.Fatalf("timeout waiting for the connection to be broken; got %q", body)
		}
	}
	if !c.Broken() || c.Reusable() {
		t.Errorf("got broken %v, reusable %v, want true, false (body %q, error %v)", c.Broken(), c.Reusable(), body, err)
	}
}

func TestPHP_FlushMakesBodyReady(t *testing.T) {
	p := startPHP(t)
	c := p.dial()
	file := filepath.Join(t.TempDir(), "go")
	r := p.request("GET", "flush.php", "file="+url.QueryEscape(file), 0)
	defer r.Free()
	resp, err := c.RoundTrip(testContext(t), r)
	if err != nil {
		t.Fatal(err)
	}
	body := resp.Body.(*Body)
	if b, err := body.Next(); string(b) != "first " || err != nil {
		t.Errorf("got %q, error %v", b, err)
	}
	if body.Ready() {
		t.Error("the body is ready although the script is waiting")
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(body); string(b) != "second" || err != nil {
		t.Errorf("got %q, error %v", b, err)
	}
	body.Close()
	if !c.Reusable() {
		t.Error("the connection is not reusable")
	}
}

// TestPHP_TruncatedRequestBodyRunsScriptUnlessKilled shows why the process behind
// a Broken connection must be killed: php-cgi takes the end of the connection for
// the end of the body, and runs the script.
func TestPHP_TruncatedRequestBodyRunsScriptUnlessKilled(t *testing.T) {
	for _, kill := range []bool{false, true} {
		p := startPHP(t)
		c := p.dial()
		file := filepath.Join(t.TempDir(), "note")
		r := p.request("POST", "note.php", "file="+url.QueryEscape(file), 1<<20)
		r.Body = strings.NewReader(strings.Repeat("x", 300_000))
		_, _, err := do(t, c, r)
		r.Free()
		if _, ok := errors.AsType[*BodyError](err); !ok || !c.Broken() || c.Reusable() {
			t.Fatalf("got %v, broken %v, reusable %v, want a BodyError, true, false", err, c.Broken(), c.Reusable())
		}
		if kill {
			p.cmd.Process.Kill()
			p.cmd.Wait()
			c.Close()
			if _, err := os.Stat(file); err == nil {
				t.Error("the script has run although php-cgi was killed")
			}
			continue
		}
		c.Close()
		p.dial() // returns when the script has ended
		if _, err := os.Stat(file); err != nil {
			t.Errorf("this php-cgi does not run the script of a truncated request: %v", err)
		}
	}
}

// TestPHP_BodyStream cuts bodies off at the sizes of php-cgi's own reads and of
// records: PHP gets every byte that has arrived.
func TestPHP_BodyStream(t *testing.T) {
	p := startPHP(t)
	data := make([]byte, 300_000)
	rand.Read(data)
	broken := errors.New("connection reset")
	for _, arrived := range []int{0, 1, 8191, 8192, 16_384, 20_000, 65_528, 65_536, 100_000, 250_000} {
		c := p.dial()
		file := filepath.Join(t.TempDir(), "body")
		in, out := io.Pipe()
		r := p.request("PATCH", "save.php", "file="+file, int64(len(data)))
		r.Body, r.StreamBody = in, true
		go func() {
			out.Write(data[:arrived])
			out.CloseWithError(broken)
		}()
		_, _, err := do(t, c, r)
		r.Free()
		if !errors.Is(err, broken) || c.Broken() || c.Reusable() {
			t.Fatalf("%d bytes: got %v, broken %v, reusable %v, want %v, false, false", arrived, err, c.Broken(), c.Reusable(), broken)
		}
		var got []byte
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if got, err = os.ReadFile(file + ".done"); err == nil {
				break
			}
		}
		if err != nil || !bytes.Equal(got, data[:arrived]) {
			t.Errorf("%d bytes: PHP got %d, error %v", arrived, len(got), err)
		}
		c.Close()
	}
}

// A script runs while its body arrives.
func TestPHP_BodyStreamIsReadAsItArrives(t *testing.T) {
	p := startPHP(t)
	c := p.dial()
	in, out := io.Pipe()
	r := p.request("PATCH", "save.php", "file="+filepath.Join(t.TempDir(), "body"), 3*8192)
	r.Body, r.StreamBody = in, true
	go out.Write(make([]byte, 8192))
	resp, err := c.RoundTrip(testContext(t), r)
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 5)
	for range 3 {
		if _, err := io.ReadFull(resp.Body, line); err != nil || string(line) != "8192\n" {
			t.Fatalf("got %q, %v, want a line of 8192", line, err)
		}
		go out.Write(make([]byte, 8192))
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v, want the end", rest, err)
	}
	resp.Body.Close()
	r.Free()
	if !c.Reusable() {
		t.Error("the connection is not reusable")
	}
	in.Close()
}
