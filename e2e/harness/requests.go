//go:build linux

package harness

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

// HeldRequests are requests whose scripts run until they are released.
type HeldRequests struct {
	s         *Server
	Name      string
	PathInfo  string // follows the script in the path
	File      string
	Header    string // of the requests that are added, if any
	Cancel    []context.CancelFunc
	Responses []chan *Response // nil is received from one that failed
}

// Hold returns an empty list of requests; Add sends them.
func (s *Server) Hold(name string) *HeldRequests {
	s.T.Helper()
	h := &HeldRequests{s: s, Name: name, File: filepath.Join(s.Site, name)}
	WriteFile(s.T, h.File, "")
	s.T.Cleanup(h.Release)
	return h
}

// Add sends another request, whose id is its index.
func (h *HeldRequests) Add(query string) {
	h.s.T.Helper()
	path := fmt.Sprintf("/load/hold.php%s?file=%s&id=%d&%s", h.PathInfo, h.Name, len(h.Responses), query)
	ctx, cancel := context.WithCancel(h.s.T.Context())
	h.s.T.Cleanup(cancel)
	req := h.s.Request("GET", path, nil).WithContext(ctx)
	if name, value, ok := strings.Cut(h.Header, ": "); ok {
		req.Header.Set(name, value)
	}
	response := make(chan *Response, 1)
	h.Cancel, h.Responses = append(h.Cancel, cancel), append(h.Responses, response)
	go func() {
		defer close(response)
		if res, err := h.s.Client.Do(req); err == nil {
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			response <- &Response{res, string(body)}
		}
	}()
}

// WaitRunning waits until PHP has started n of them, and returns their ids and process
// IDs in that order.
func (h *HeldRequests) WaitRunning(n int) (ids, pids []int) {
	h.s.T.Helper()
	var lines []string
	Eventually(h.s.T, func() error {
		if lines = h.Lines("ran"); len(lines) < n {
			return fmt.Errorf("%d of %d requests are being served: %+v", len(lines), n, h.s.Pool())
		}
		return nil
	})
	for _, line := range lines {
		var id, pid int
		if _, err := fmt.Sscan(line, &id, &pid); err != nil {
			h.s.T.Fatalf("%q: %v", line, err)
		}
		ids, pids = append(ids, id), append(pids, pid)
	}
	return ids, pids
}

// Lines returns the lines that the scripts have written to the file ran, ended or
// aborted.
func (h *HeldRequests) Lines(what string) []string {
	text, _ := os.ReadFile(h.File + "." + what)
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

// WaitEnded waits until n scripts have ended, and returns their lines.
func (h *HeldRequests) WaitEnded(n int) (lines []string) {
	h.s.T.Helper()
	Eventually(h.s.T, func() error {
		if lines = h.Lines("ended"); len(lines) < n {
			return fmt.Errorf("%d of %d scripts have ended", len(lines), n)
		}
		return nil
	})
	return lines
}

// Release lets the scripts end.
func (h *HeldRequests) Release() { os.Remove(h.File) }

// Want checks the status of the response to a request.
func (h *HeldRequests) Want(id, status int) *Response {
	h.s.T.Helper()
	select {
	case res := <-h.Responses[id]:
		if res == nil {
			h.s.T.Fatalf("request %d failed", id)
		}
		res.Want(h.s.T, status, "")
		return res
	case <-time.After(MaxWait):
		h.s.T.Fatalf("request %d has no response: %+v", id, h.s.Pool())
		return nil
	}
}

// Outcome is the response to a request, or the error.
type Outcome struct {
	status int
	body   string
	err    error
}

// StartBlocked starts a request whose script waits for Unblock, and returns once the
// script runs.
func (s *Server) StartBlocked(script string) <-chan Outcome {
	s.T.Helper()
	file := filepath.Join(s.Site, "hold")
	WriteFile(s.T, file, "")
	req := s.Request("GET", "/"+script+"?file=hold", nil)
	response := make(chan Outcome, 1)
	go func() {
		res, err := s.Client.Do(req)
		if err != nil {
			response <- Outcome{err: err}
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		response <- Outcome{res.StatusCode, string(body), err}
	}()
	Eventually(s.T, func() error {
		_, err := os.Stat(file + ".runs")
		return err
	})
	return response
}

// Unblock lets the script of StartBlocked end.
func (s *Server) Unblock() {
	s.T.Helper()
	if err := os.Remove(filepath.Join(s.Site, "hold")); err != nil {
		s.T.Fatal(err)
	}
}

// WantUnblocked checks the response to a request of StartBlocked with wait.php.
func WantUnblocked(tb testing.TB, response <-chan Outcome) {
	tb.Helper()
	if got, want := <-response, (Outcome{200, "waited\n", nil}); got != want {
		tb.Errorf("the script that waited: got %+v, want %+v", got, want)
	}
}
