//go:build linux

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// debugSession is a connection of Xdebug to an IDE: commands end with a NUL byte, a
// response is a length, a NUL byte, XML and a NUL byte (https://xdebug.org/docs/dbgp).
type debugSession struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	n    int
}

// acceptSession waits for Xdebug, and reads what it says first.
func acceptSession(t *testing.T, ln *net.TCPListener) *debugSession {
	t.Helper()
	if err := ln.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatalf("Xdebug did not connect: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	d := &debugSession{t: t, conn: conn, in: bufio.NewReader(conn)}
	if init := d.read(); !strings.Contains(init, "<init ") {
		t.Fatalf("got %q", init)
	}
	return d
}

// do sends a command and returns its response.
func (d *debugSession) do(command string) string {
	d.t.Helper()
	d.n++
	if _, err := fmt.Fprintf(d.conn, "%s -i %d\x00", command, d.n); err != nil {
		d.t.Fatal(err)
	}
	return d.read()
}

func (d *debugSession) read() string {
	d.t.Helper()
	if err := d.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.in.ReadString(0); err != nil { // the length
		d.t.Fatal(err)
	}
	text, err := d.in.ReadString(0)
	if err != nil {
		d.t.Fatal(err)
	}
	return text
}

// TestXdebug_Breakpoint stops at a breakpoint, with the lines of docs/development.md.
// While the script is stopped other requests are served, and the backtrace names the
// line and the IDE's address. With -soak it is stopped for longer than the minute
// after which web servers usually give up.
func TestXdebug_Breakpoint(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(harness.ReadFile(t, "../docs/development.md"), "## Step debugging")
	block := regexp.MustCompile("(?s)```caddyfile\n.*?php_pool {\n(.*?)\n\t}\n").FindStringSubmatch(section)
	if block == nil {
		t.Fatal("docs/development.md has no lines for Xdebug")
	}
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		lines := []string{"workers 2", fmt.Sprintf("ini xdebug.client_port %d", ln.Addr().(*net.TCPAddr).Port), "ini xdebug.log_level 0"}
		for line := range strings.Lines(block[1]) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
			lines = append(lines, strings.Replace(line, "zend_extension xdebug", "zend_extension "+xdebug(t), 1))
		}
		s := harness.Prepare(t, b)
		harness.WriteFile(t, filepath.Join(s.Site, "debugged.php"), "<?php\n$answer = 41;\nxdebug_break();\n$answer++;\necho $answer;\n")
		if err := s.Run(harness.PoolSite(b, lines...)); err != nil {
			t.Fatal(err)
		}
		response := make(chan *harness.Response, 1)
		go func() { response <- s.Get("/debugged.php?XDEBUG_TRIGGER=1") }()
		d := acceptSession(t, ln)
		if got := d.do("run"); !strings.Contains(got, `status="break"`) {
			t.Fatalf("got %q, want a break", got)
		}
		stopped := time.Now()

		s.Get("/hello.php").Want(t, 200, "hello\n")
		harness.Eventually(t, func() error {
			r := phpPool(s, "backtrace")
			want := fmt.Sprintf(`debugged\.php:[34]\b(?s:.*)%s`, regexp.QuoteMeta(ln.Addr().String()))
			if r.code == 0 && regexp.MustCompile(want).MatchString(r.stdout) {
				return nil
			}
			return fmt.Errorf("the backtrace does not match %s:\n%s%s", want, r.stdout, r.stderr)
		})
		if harness.Rounds(5) > 1 {
			time.Sleep(time.Until(stopped.Add(70 * time.Second)))
		}

		if got := d.do("property_get -n $answer"); !strings.Contains(got, "41") {
			t.Errorf("got %q, want the value of $answer", got)
		}
		if got := d.do("run"); !strings.Contains(got, `status="stopping"`) {
			t.Errorf("got %q, want the end of the script", got)
		}
		d.conn.Close() // until then Xdebug waits for a last command
		(<-response).Want(t, 200, "42")
		s.WantExits(map[string]int{})
	})
}
