//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// streaming returns a backend that streams request bodies, as php_fastcgi does. Its
// pool is named main.
func streaming(b harness.Backend, lines ...string) harness.Backend {
	if !b.FPM {
		b.Lines = append(append(slices.Clone(b.Lines), "name main", "request_buffering off"), lines...)
	}
	return b
}

// streamBackends are all backends, and php_fastcgi with php-fpm.
var streamBackends = append([]harness.Backend{harness.FPM}, harness.AllBackends...)

// upload is a request whose body is sent in parts.
type upload struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// startUpload sends the header of a request.
func startUpload(t *testing.T, s *harness.Server, method, path string, size int, headers ...string) *upload {
	t.Helper()
	conn := harness.Dial(t, s)
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n", method, path, size)
	for _, h := range headers {
		fmt.Fprintf(conn, "%s\r\n", h)
	}
	io.WriteString(conn, "\r\n")
	return &upload{t, conn, bufio.NewReader(conn)}
}

func (u *upload) send(p []byte) {
	u.t.Helper()
	if _, err := u.conn.Write(p); err != nil {
		u.t.Fatal(err)
	}
}

// head reads the header of the response.
func (u *upload) head() *http.Response {
	u.t.Helper()
	res, err := http.ReadResponse(u.in, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	return res
}

// response reads the whole response.
func (u *upload) response() (*http.Response, string) {
	u.t.Helper()
	res := u.head()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		u.t.Error(err)
	}
	return res, string(body)
}

// wantClosed checks that the server closes the connection.
func (u *upload) wantClosed() {
	u.t.Helper()
	if b, err := u.in.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		u.t.Errorf("got byte %q and error %v, want the end of the connection", b, err)
	}
}

// awaitFile waits for a file of the site and returns its content.
func awaitFile(s *harness.Server, name string) (content string) {
	s.T.Helper()
	harness.Eventually(s.T, func() error {
		b, err := os.ReadFile(filepath.Join(s.Site, name))
		content = string(b)
		return err
	})
	return content
}

// wantSize waits until a file of the site has this size.
func wantSize(s *harness.Server, name string, size int64) {
	s.T.Helper()
	harness.Eventually(s.T, func() error {
		info, err := os.Stat(filepath.Join(s.Site, name))
		if err == nil && info.Size() != size {
			err = fmt.Errorf("%s has %d bytes, want %d", name, info.Size(), size)
		}
		return err
	})
}

// TestBodyStream_UploadProgress sends half of a file, and gets its progress from PHP.
func TestBodyStream_UploadProgress(t *testing.T) {
	t.Parallel()
	ini := harness.Options{INI: [][2]string{{"session.upload_progress.enabled", "1"}, {"session.upload_progress.min_freq", "0"}}}
	harness.ForEach(t, streamBackends, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, streaming(b), harness.PlainSite, ini)
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		w.WriteField("PHP_SESSION_UPLOAD_PROGRESS", "up")
		w.WriteField("field", "")
		part, err := w.CreateFormFile("file", "file.bin")
		if err != nil {
			t.Fatal(err)
		}
		content := harness.Pattern(1_000_000)
		part.Write(content)
		w.Close()
		cookie := fmt.Sprint("Cookie: PHPSESSID=uploadprogress", s.Port)
		u := startUpload(t, s, "POST", "/upload.php", form.Len(), cookie, "Content-Type: "+w.FormDataContentType())
		half := form.Len() / 2
		u.send(form.Bytes()[:half])
		var p struct {
			Length    int `json:"content_length"`
			Processed int `json:"bytes_processed"`
			Done      bool
		}
		harness.Eventually(t, func() error {
			text := s.Get("/stream/progress.php", cookie).Text
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				return err
			}
			if p.Processed < half-100_000 {
				return fmt.Errorf("progress is %q", text)
			}
			return nil
		})
		if p.Length != form.Len() || p.Processed > half || p.Done {
			t.Errorf("got %+v after %d of %d bytes", p, half, form.Len())
		}
		u.send(form.Bytes()[half:])
		if res, body := u.response(); res.StatusCode != 200 || !strings.Contains(body, hash(content)) {
			t.Errorf("got %s: %q", res.Status, body)
		}
		s.Get("/stream/progress.php?remove=1", cookie).Want(t, 200, "")
	})
}

// TestBodyStream_Cut cuts off a resumable upload. What has arrived is kept.
func TestBodyStream_Cut(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, streamBackends, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, streaming(b), harness.PlainSite)
		data := harness.Pattern(2_000_000)
		for i, c := range []struct {
			size, arrived int
			ignore        string
		}{{2_000_000, 300_000, ""}, {2_000_000, 1_234_567, "&ignore=1"}, {5000, 700, ""}, {5000, 1, "&ignore=1"}} {
			if b.FPM && c.arrived < 65_500 {
				continue // php_fastcgi passes on whole pieces of 65,500 bytes
			}
			name := fmt.Sprint("cut", i)
			u := startUpload(t, s, "PATCH", "/stream/patch.php?gone=1&name="+name+c.ignore, c.size, "Content-Type: application/offset+octet-stream")
			u.send(data[:c.arrived])
			if c.arrived > 100_000 {
				harness.Eventually(t, func() error { _, err := os.Stat(filepath.Join(s.Site, name)); return err })
			}
			u.conn.Close()
			saved := awaitFile(s, name+".saved")
			got, err := os.ReadFile(filepath.Join(s.Site, name))
			switch {
			case err != nil || !bytes.HasPrefix(data[:c.arrived], got) || saved != strconv.Itoa(len(got)):
				t.Errorf("%+v: saved %d bytes (%s), %v", c, len(got), saved, err)
			case !b.FPM && len(got) != c.arrived:
				t.Errorf("%+v: saved %d bytes, want all that have arrived", c, len(got))
			}
			if c.ignore != "" {
				if got := awaitFile(s, name+".after"); got != "1" {
					t.Errorf("%+v: connection_status() is %s, want 1 (aborted)", c, got)
				}
			}
			if !b.FPM {
				s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 2 })
				s.WantNoneFailed()
			}
			if _, err := os.Stat(filepath.Join(s.Site, name+".after")); c.ignore == "" && err == nil && !b.FPM {
				t.Errorf("%+v: the script ran on after the client had disconnected", c)
			}
		}
		s.Get("/hello.php").Want(t, 200, "hello\n")
	})
}

// TestBodyStream_Timeout stalls an upload.
func TestBodyStream_Timeout(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.AllBackends, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, streaming(b, "body_timeout 1s"), harness.PlainSite)
		data := harness.Pattern(1_000_000)
		u := startUpload(t, s, "PATCH", "/stream/patch.php?name=stalled", len(data))
		u.send(data[:500_000])
		if res, _ := u.response(); res.StatusCode != 408 || !res.Close {
			t.Errorf("got %s, to be closed %t, want 408 and the end of the connection", res.Status, res.Close)
		}
		u.wantClosed()
		if got := awaitFile(s, "stalled.saved"); got != "500000" {
			t.Errorf("saved %s bytes, want 500000", got)
		}
		// After the response has begun, it is cut.
		u = startUpload(t, s, "PUT", "/stream/early.php", len(data))
		u.send(data[:500_000])
		res := u.head()
		if body, err := io.ReadAll(res.Body); err == nil || res.StatusCode != 401 {
			t.Errorf("got %s and the whole body %q, want 401 and the end of the connection", res.Status, body)
		}
		s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 2 })
		s.WantNoneFailed()
		s.Get("/hello.php").Want(t, 200, "hello\n")
	})
}

// TestBodyStream_ReadBodyTimeout lets the timeout of Caddy's server expire first.
func TestBodyStream_ReadBodyTimeout(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		for _, lines := range []string{"request_buffering off", "request_buffering"} {
			site := harness.PoolSite(b, "manager static", "workers 1", lines)
			s := harness.Start(t, b, site, harness.Options{Global: "servers {\ntimeouts {\nread_body 1s\n}\n}"})
			u := startUpload(t, s, "PATCH", "/stream/patch.php?name=late", 1_000_000)
			u.send(harness.Pattern(500_000))
			if res, _ := u.response(); res.StatusCode != 408 {
				t.Errorf("%s: got %s, want 408", lines, res.Status)
			}
			u.wantClosed()
			s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 1 })
		}
	})
}

// TestBodyStream_EarlyResponse gets the response before the body has been sent.
func TestBodyStream_EarlyResponse(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.AllBackends, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, streaming(b), harness.PlainSite)
		data := harness.Pattern(1_000_000)
		for _, headers := range [][]string{{}, {"Expect: 100-continue"}} {
			u := startUpload(t, s, "PUT", "/stream/early.php", len(data), headers...)
			res := u.head()
			if len(headers) > 0 && res.StatusCode == 100 { // unless PHP was faster
				res = u.head()
			}
			if res.StatusCode != 401 || !res.Close {
				t.Errorf("got %s, to be closed %t, want 401 and the end of the connection", res.Status, res.Close)
			}
			u.send(data)
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != "denied\n1000000\n" {
				t.Errorf("got %q, %v: PHP did not get the whole body", body, err)
			}
			u.wantClosed()
		}
		// Without it the connection stays.
		u := startUpload(t, s, "PATCH", "/stream/patch.php?name=whole", 500)
		for range 3 {
			u.send(data[:500])
			if res, body := u.response(); res.StatusCode != 200 || res.Close || body != "saved 500\n" {
				t.Errorf("got %s %q, to be closed %t", res.Status, body, res.Close)
			}
			fmt.Fprint(u.conn, "PATCH /stream/patch.php?name=whole HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n\r\n")
		}
		s.WaitPool("one busy", func(p harness.PoolStatus) bool { return p.Workers.Busy == 1 }) // by the last of them
		u.conn.Close()
		s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 2 })
		s.WantNoneFailed()
	})
}

// TestBodyStream_Memory streams a large body. Neither memory nor the spool holds it,
// whether PHP reads it or not.
func TestBodyStream_Memory(t *testing.T) {
	t.Parallel()
	const size, growth = 64 << 20, 16 << 20
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, streaming(b, "spool_dir {$SITE}/uploads"), harness.PlainSite, harness.Options{INI: [][2]string{{"post_max_size", "0"}}})
		s.Get("/hello.php").Want(t, 200, "hello\n")
		before := s.PeakMemory()
		hold := filepath.Join(s.Site, "hold")
		harness.WriteFile(t, hold, "")
		u := startUpload(t, s, "PUT", "/stream/wait.php?file=hold", size, "Content-Type: application/octet-stream")
		awaitFile(s, "hold.runs")
		sent := make(chan error, 1)
		go func() {
			_, err := io.CopyN(u.conn, harness.Endless{}, size)
			sent <- err
		}()
		if p := s.Pool(); p.Workers.Busy != 1 || p.List[0].Request.URI == "" && p.List[1].Request.URI == "" {
			t.Errorf("got %+v, want one worker busy with the upload", p)
		}
		select {
		case err := <-sent:
			t.Errorf("64 MB were taken while PHP read nothing (%v)", err)
		case <-time.After(500 * time.Millisecond):
		}
		os.Remove(hold)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if res, body := u.response(); res.StatusCode != 200 || body != fmt.Sprintln(size) {
			t.Errorf("got %s %q", res.Status, body)
		}
		if grown := s.PeakMemory() - before; grown > growth && !harness.RaceBuilt {
			t.Errorf("Caddy's memory has grown by %d MB, want at most %d", grown>>20, growth>>20)
		}
	})
}

// TestBodyStream_Queue waits for a worker before the client is asked for its body.
func TestBodyStream_Queue(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, streaming(b, "max_per_client 1", "max_body 1MB"), harness.PlainSite, harness.Options{Workers: 1})
		h := s.Hold("busy")
		h.Add("")
		h.WaitRunning(1)
		u := startUpload(t, s, "PATCH", "/stream/patch.php?name=queued", 3, "Expect: 100-continue")
		s.WaitPool("one waits", func(p harness.PoolStatus) bool { return p.Queue.Length == 1 })
		u.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if b, err := u.in.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got byte %q and error %v before there is a worker", b, err)
		}
		u.conn.SetReadDeadline(time.Now().Add(harness.MaxWait))
		// One more is too many for this client, and too large a body for any.
		wantTooManyRequests(t, s.Do(s.Request("PATCH", "/stream/patch.php?name=more", strings.NewReader("abc"))))
		big := startUpload(t, s, "PATCH", "/stream/patch.php?name=big", 1_000_001)
		go big.conn.Write(harness.Pattern(1_000_001)) // net/http reads some of it before it responds
		if res, _ := big.response(); res.StatusCode != 413 {
			t.Errorf("got %s, want 413", res.Status)
		}
		h.Release()
		if res := u.head(); res.StatusCode != 100 {
			t.Errorf("got %s, want 100", res.Status)
		}
		u.send([]byte("abc"))
		if res, body := u.response(); res.StatusCode != 200 || body != "saved 3\n" {
			t.Errorf("got %s %q", res.Status, body)
		}
		for _, name := range []string{"more", "big"} {
			if _, err := os.Stat(filepath.Join(s.Site, name)); err == nil {
				t.Errorf("the script ran for %s", name)
			}
		}
	})
}

// TestBodyStream_WorkerDies kills PHP while the body arrives.
func TestBodyStream_WorkerDies(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, streaming(b), harness.PlainSite)
		u := startUpload(t, s, "PATCH", "/stream/patch.php?name=died", 1_000_000)
		u.send(harness.Pattern(400_000))
		p := s.WaitPool("one busy", func(p harness.PoolStatus) bool { return p.Workers.Busy == 1 })
		harness.Eventually(t, func() error { _, err := os.Stat(filepath.Join(s.Site, "died")); return err })
		for _, w := range p.List {
			if w.State == "busy" {
				harness.Kill(t, w.PID, syscall.SIGKILL)
			}
		}
		if res, _ := u.response(); res.StatusCode != 502 {
			t.Errorf("got %s, want 502", res.Status)
		}
		u.wantClosed()
		p = s.WaitPool("whole", func(p harness.PoolStatus) bool { return p.Workers.Idle == 2 })
		if p.Requests.Retried != 0 || p.Requests.Failed != 1 || p.Exits["crashed"] != 1 {
			t.Errorf("got %+v, exits %v, want 1 failed, 1 crashed and none retried", p.Requests, p.Exits)
		}
	})
}
