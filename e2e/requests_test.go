//go:build linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// holding is requests that run until they are released.
type holding struct {
	s       *server
	name    string
	info    string // what follows the script in the path
	file    string
	header  string // of the requests that are added, if any
	cancel  []context.CancelFunc
	answers []chan *response // nil comes from one that failed
}

// hold makes the beginning of requests that PHP serves until they are released.
func (s *server) hold(name string) *holding {
	s.t.Helper()
	h := &holding{s: s, name: name, file: filepath.Join(s.site, name)}
	writeFile(s.t, h.file, "")
	s.t.Cleanup(h.release)
	return h
}

// add sends one more request, whose id is its number, from 0.
func (h *holding) add(query string) {
	h.s.t.Helper()
	path := fmt.Sprintf("/load/hold.php%s?file=%s&id=%d&%s", h.info, h.name, len(h.answers), query)
	ctx, cancel := context.WithCancel(h.s.t.Context())
	h.s.t.Cleanup(cancel)
	req := h.s.request("GET", path, nil).WithContext(ctx)
	if name, value, ok := strings.Cut(h.header, ": "); ok {
		req.Header.Set(name, value)
	}
	answer := make(chan *response, 1)
	h.cancel, h.answers = append(h.cancel, cancel), append(h.answers, answer)
	go func() {
		defer close(answer)
		if res, err := h.s.client.Do(req); err == nil {
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			answer <- &response{res, string(body)}
		}
	}()
}

// ran waits until PHP has begun so many, and returns their ids and processes.
func (h *holding) ran(n int) (ids, pids []int) {
	h.s.t.Helper()
	var lines []string
	eventually(h.s.t, func() error {
		if lines = h.lines("ran"); len(lines) < n {
			return fmt.Errorf("%d of %d requests are being served: %+v", len(lines), n, h.s.pool())
		}
		return nil
	})
	for _, line := range lines {
		var id, pid int
		if _, err := fmt.Sscan(line, &id, &pid); err != nil {
			h.s.t.Fatalf("%q: %v", line, err)
		}
		ids, pids = append(ids, id), append(pids, pid)
	}
	return ids, pids
}

// lines is what the scripts wrote down: ran or ended.
func (h *holding) lines(what string) []string {
	text, _ := os.ReadFile(h.file + "." + what)
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

// ended waits until so many scripts have ended, and returns their status.
func (h *holding) ended(n int) (lines []string) {
	h.s.t.Helper()
	eventually(h.s.t, func() error {
		if lines = h.lines("ended"); len(lines) < n {
			return fmt.Errorf("%d of %d scripts have ended", len(lines), n)
		}
		return nil
	})
	return lines
}

// release lets the scripts end.
func (h *holding) release() { os.Remove(h.file) }

// want checks the answer to a request.
func (h *holding) want(id, status int) *response {
	h.s.t.Helper()
	select {
	case res := <-h.answers[id]:
		if res == nil {
			h.s.t.Fatalf("request %d failed", id)
		}
		res.want(h.s.t, status, "")
		return res
	case <-time.After(maxWait):
		h.s.t.Fatalf("request %d has no answer: %+v", id, h.s.pool())
		return nil
	}
}

// outcome is the answer to a request whose script waits, or why there is none.
type outcome struct {
	status int
	body   string
	err    error
}

// begin starts a request that does not end by itself, and returns once its
// script runs.
func (s *server) begin(script string) <-chan outcome {
	s.t.Helper()
	file := filepath.Join(s.site, "hold")
	writeFile(s.t, file, "")
	req := s.request("GET", "/"+script+"?file=hold", nil)
	answer := make(chan outcome, 1)
	go func() {
		res, err := s.client.Do(req)
		if err != nil {
			answer <- outcome{err: err}
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		answer <- outcome{res.StatusCode, string(body), err}
	}()
	eventually(s.t, func() error {
		_, err := os.Stat(file + ".runs")
		return err
	})
	return answer
}

// let lets the script of begin end.
func (s *server) let() {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.site, "hold")); err != nil {
		s.t.Fatal(err)
	}
}

func wantWaited(t *testing.T, answer <-chan outcome) {
	t.Helper()
	if got, want := <-answer, (outcome{200, "waited\n", nil}); got != want {
		t.Errorf("the script that waited: got %+v, want %+v", got, want)
	}
}
