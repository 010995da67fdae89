package opcache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mevdschee/caddy-php-pool/pool"
)

func TestHelper_FilesWhileAcquired(t *testing.T) {
	temp := t.TempDir()
	setTempDir(t, temp)
	h := &helper{ini: "a = b\n"}
	left := func() []string {
		found, err := filepath.Glob(filepath.Join(temp, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	var first string
	for range 3 {
		one, err := h.acquire()
		if err != nil {
			t.Fatal(err)
		}
		two, err := h.acquire()
		if err != nil || one != two || first != "" && one != first {
			t.Fatalf("got %s, %s, %v; want the same path each time (first %s)", one, two, err, first)
		}
		first = one
		h.release()
		for path, want := range map[string]string{one: string(script), filepath.Join(filepath.Dir(one), ".user.ini"): "a = b\n"} {
			text, err := os.ReadFile(path)
			if err != nil || string(text) != want {
				t.Errorf("%s: got %q, %v", path, text, err)
			}
			if info, err := os.Stat(path); err != nil || info.ModTime().Unix() != 0 {
				t.Errorf("%s: got modification time %v, %v; want 0, so that OPcache does not cache it", path, info.ModTime(), err)
			}
		}
		h.release()
		if got := left(); len(got) > 0 {
			t.Fatalf("got %v after the last release, want nothing", got)
		}
	}
	// Another user creates the directory first.
	if err := os.Mkdir(filepath.Dir(first), 0o777); err != nil {
		t.Fatal(err)
	}
	next, err := h.acquire()
	if err != nil || filepath.Dir(next) == filepath.Dir(first) {
		t.Fatalf("got %s, %v; want a new directory", next, err)
	}
	h.release()
	if got := left(); len(got) != 1 || got[0] != filepath.Dir(first) {
		t.Errorf("got %v after the release, want the directory of the other user", got)
	}
}

func TestHelper_WriteError(t *testing.T) {
	setTempDir(t, filepath.Join(t.TempDir(), "missing"))
	h := &helper{}
	for range 2 {
		if _, err := h.acquire(); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v, want %v", err, os.ErrNotExist)
		}
	}
	if h.refs != 0 {
		t.Errorf("got %d references, want 0", h.refs)
	}
}

func TestHelper_Response(t *testing.T) {
	const token = "\nphp_pool-X\n"
	valid := `{"reason":"","status":{"opcache_statistics":{"hits":3}}}`
	for _, c := range []struct {
		name, body, stderr string
		hits               int64
		reason             string
	}{
		{name: "valid", body: token + valid, hits: 3},
		{name: "after another script's output", body: "<html>" + token + "no" + token + valid, hits: 3},
		{name: "not opened", body: "No input file specified.\n", reason: errScriptNotOpened.Error()},
		{name: "not readable", body: "Access denied.\n", reason: errScriptNotOpened.Error()},
		{name: "truncated", body: token + valid[:20], reason: "invalid response of the OPcache helper script"},
		{name: "another script's output only", body: "<html>Welcome", reason: `did not finish: status 200, "<html>Welcome"`},
		{
			name: "fatal error", stderr: "PHP Fatal error:  Uncaught Error: no in /x:1\nStack trace:\n",
			reason: "did not finish: Uncaught Error: no in /x:1",
		},
	} {
		run := &scriptRun{script: filepath.FromSlash("/tmp/php_pool-X/opcache.php")}
		r := run.request(callStatus)
		io.WriteString(r.Stderr, c.stderr)
		r.Free()
		got := new(helperResponse)
		resp := &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(c.body))}
		err := run.read(resp, got)
		if c.reason != "" {
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%s: got %v, want %s", c.name, err, c.reason)
			}
			continue
		}
		if err != nil || got.Status == nil || got.Status.Statistics.Hits != c.hits {
			t.Errorf("%s: got %+v, %v; want %d hits", c.name, got, err, c.hits)
		}
	}
}

func TestHelper_PHPMessage(t *testing.T) {
	run := new(scriptRun)
	io.WriteString(&run.stderr, "PHP Warning:  PHP Request Startup: open_basedir restriction in effect. "+
		"File(/tmp/x) is not within the allowed path(s): (/srv) in Unknown on line 0\nPHP Warning:  more\n")
	want := "open_basedir restriction in effect. File(/tmp/x) is not within the allowed path(s): (/srv)"
	if got := run.phpMessage(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	r := run.request(callStatus)
	defer r.Free()
	r.Stderr.Write(bytes.Repeat([]byte("x"), 2*maxResponse))
	r.Stderr.Write([]byte("x"))
	if got := run.stderr.buf.Len(); got != maxResponse {
		t.Errorf("got %d bytes of stderr, want %d", got, maxResponse)
	}
}

func TestCache_QueryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(Cache)
		due := func(generation int, want bool) {
			t.Helper()
			if got := s.dueLocked(time.Now(), generation); got != want {
				t.Errorf("after %v, generation %d: got due %t, want %t", time.Since(s.lastQuery), generation, got, want)
			}
		}
		resp := &helperResponse{Status: new(status)}
		due(1, true)
		s.record(nil, pool.QueryInfo{}, time.Now(), pool.ErrBusy)
		due(1, true) // no worker was queried
		s.record(resp, pool.QueryInfo{Generation: 1}, time.Now(), nil)
		due(1, false)
		due(2, true)
		time.Sleep(sampleInterval - time.Millisecond)
		due(1, false)
		time.Sleep(time.Millisecond)
		due(1, true)
		s.record(nil, pool.QueryInfo{Generation: 1}, time.Now(), &UnavailableError{"no"})
		time.Sleep(retryInterval - time.Millisecond)
		due(1, false)
		due(2, true)
		time.Sleep(time.Millisecond)
		due(1, true)
		if s.sample == nil || s.lastError != "no" {
			t.Errorf("got %+v, want the last sample and the error", s)
		}
		s.record(resp, pool.QueryInfo{Generation: 1}, time.Now(), nil)
		if s.lastError != "" {
			t.Errorf("after a sample: got error %q, want none", s.lastError)
		}
	})
}

func TestCache_OneQueryAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(Cache)
		if err := s.lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("second lock: got %v, want it to wait", err)
		}
		start := time.Now()
		go func() {
			time.Sleep(time.Minute)
			s.unlock()
		}()
		s.Close()
		if waited := time.Since(start); waited != time.Minute {
			t.Errorf("Close waited %v, want until unlock", waited)
		}
		if err := s.lock(t.Context()); !errors.Is(err, pool.ErrClosed) {
			t.Errorf("lock after Close: got %v, want ErrClosed", err)
		}
	})
}

func TestSample(t *testing.T) {
	resp := &helperResponse{Status: new(status)}
	resp.Status.Statistics.Hits, resp.Status.Statistics.Misses = 2, 1
	resp.Status.Memory.Used, resp.Status.Memory.Free, resp.Status.Memory.Wasted = 1<<20, 2<<20, 5<<20
	resp.Directives.Strings = 8
	s := newSample(resp, pool.QueryInfo{Worker: 3, PID: 4, Generation: 5}, time.Now())
	if s.HitRate != 2.0/3 || s.HitRateHuman != "66.66%" {
		t.Errorf("got hit rate %v, %s", s.HitRate, s.HitRateHuman)
	}
	if s.Memory.Total != 8<<20 || s.Memory.WastedHuman != "5.0 MiB" || s.Configuration.Strings != 8<<20 {
		t.Errorf("got %+v, %+v", s.Memory, s.Configuration)
	}
	if !s.Enabled || s.Worker != 3 || s.PID != 4 || s.Generation != 5 || s.Strings != nil || s.JIT != nil || s.Restarts.Last != "" {
		t.Errorf("got %+v", s)
	}
	resp.Status.Pending = true
	resp.Status.Statistics.Hits, resp.Status.Statistics.Misses = 0, 0
	if s := newSample(resp, pool.QueryInfo{}, time.Now()); s.Enabled || s.HitRate != 0 {
		t.Errorf("got %+v, want it disabled, and a hit rate of 0 without hits and misses", s)
	}
}
