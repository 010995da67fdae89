//go:build linux

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestBodyStream_NotStreamed sends the bodies that are read completely all the same:
// a slow one occupies no worker, and PHP does not run for a part of one.
func TestBodyStream_NotStreamed(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, streaming(b), harness.PlainSite, harness.Options{Workers: 1})
		form := startUpload(t, s, "POST", "/stream/patch.php?name=form", 100, "Content-Type: application/x-www-form-urlencoded; charset=utf-8")
		form.send([]byte("amount=1"))
		conn := harness.Dial(t, s)
		fmt.Fprint(conn, "PATCH /stream/patch.php?name=chunked HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
		s.Get("/hello.php").Want(t, 200, "hello\n")
		form.conn.Close()
		io.WriteString(conn, "4\r\nrest\r\n0\r\n\r\n")
		chunked := upload{t, conn, bufio.NewReader(conn)}
		if res, body := chunked.response(); res.StatusCode != 200 || body != "saved 8\n" {
			t.Errorf("got %s %q", res.Status, body)
		}
		if _, err := os.Stat(filepath.Join(s.Site, "form")); err == nil {
			t.Error("the script ran with a part of the form")
		}
	})
}

// TestBodyStream_HTTP2 cuts off an upload by RST_STREAM, and responds early.
func TestBodyStream_HTTP2(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, streaming(b), harness.PlainSite, harness.Options{Global: "servers {\nprotocols h1 h2c\n}"})
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: protocols}
		t.Cleanup(transport.CloseIdleConnections)
		client := &http.Client{Transport: transport}
		send := func(path string) (*io.PipeWriter, <-chan *http.Response) {
			in, out := io.Pipe()
			req := s.Request("PATCH", path, in)
			req.ContentLength = 1_000_000
			head := make(chan *http.Response, 1)
			go func() {
				defer close(head)
				if res, err := client.Do(req); err == nil {
					head <- res
				}
			}()
			return out, head
		}
		data := harness.Pattern(1_000_000)
		out, _ := send("/stream/patch.php?name=reset")
		out.Write(data[:300_000])
		harness.Eventually(t, func() error { _, err := os.Stat(filepath.Join(s.Site, "reset")); return err })
		// The transport has taken the bytes from the pipe, and may not have sent them.
		wantSize(s, "reset", 300_000/8192*8192)
		out.CloseWithError(errors.New("cut"))
		if got := awaitFile(s, "reset.saved"); got != "300000" {
			t.Errorf("saved %s bytes, want 300000", got)
		}
		out, head := send("/stream/early.php?status=201") // net/http sends no more to an error
		res := <-head
		if res == nil || res.ProtoMajor != 2 || res.StatusCode != 201 {
			t.Fatalf("got %+v, want 201 by HTTP/2", res)
		}
		out.Write(data)
		out.Close()
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "denied\n1000000\n" {
			t.Errorf("got %q, %v", body, err)
		}
		res.Body.Close()
		s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 2 })
		s.WantNoneFailed()
	})
}

// TestBodyStream_Transport streams bodies through a reverse_proxy that a config has
// built by hand. Its responses wait for the end of the body.
func TestBodyStream_Transport(t *testing.T) {
	t.Parallel()
	for _, b := range harness.BothSpawnModes {
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, b, `
			http://127.0.0.1:{$PORT} {
				root {$SITE}
				reverse_proxy php.internal:9000 {
					transport php_pool {
						pool default
						request_buffering off
						body_timeout 1s
					}
				}
			}`, harness.Options{Global: "php_pool {\nworkers 2\n" + strings.Join(b.Lines, "\n") + "\n}"})
			data := harness.Pattern(1_000_000)
			u := startUpload(t, s, "PUT", "/stream/early.php", len(data))
			u.send(data[:1000])
			wantSize(s, "early.started", 0)
			u.send(data[1000:])
			if res, body := u.response(); res.StatusCode != 401 || res.Close || body != "denied\n1000000\n" {
				t.Errorf("got %s %q: PHP did not get the whole body", res.Status, body)
			}
			u = startUpload(t, s, "PATCH", "/stream/patch.php?name=stalled", len(data))
			u.send(data[:500_000])
			if got := awaitFile(s, "stalled.saved"); got != "500000" {
				t.Errorf("saved %s bytes, want 500000", got)
			}
			harness.Eventually(t, func() error {
				if p := s.PoolNamed("default"); p.Workers.Idle != 2 {
					return fmt.Errorf("not idle: %+v", p)
				}
				return nil
			})
			u.conn.Close()
			s.Get("/hello.php").Want(t, 200, "hello\n")
		})
	}
}
