//go:build linux

package webservers

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestWebServers sends every request through every front to both backends and compares.
func TestWebServers(t *testing.T) {
	t.Parallel()
	code := map[string]string{}
	var rows []request
	for _, q := range slices.Concat(requestRows(), responseRows(), chunkedRows()) {
		rows = append(rows, q.complete(code))
	}
	site := filepath.Join(harness.TempDir(t), "site")
	makeSite(t, site, code)
	r := startRig(t, setup{site: site, fronts: fronts, fpm: true, listener: "ping /fpm/ping \"all is well\""})
	var shown sync.Map
	t.Run("fronts", func(t *testing.T) {
		for _, f := range fronts {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				if f.streams {
					checkStreams(t, r, f)
				}
				checkStderr(t, r, f)
				for _, q := range rows {
					if q.in(f) {
						t.Run(q.String(), func(t *testing.T) { check(t, r, f, &q, &shown) })
					}
				}
			})
		}
		t.Run("fastcgi", func(t *testing.T) {
			t.Parallel()
			checkRaw(t, r, rows, &shown)
			checkProtocol(t, r, &shown)
		})
	})
	wantAllShown(t, &shown)
}

// wantAllShown reports entries of the list deliberate that no request shows.
func wantAllShown(t *testing.T, shown *sync.Map) {
	t.Helper()
	if f := flagRun(); f != "" {
		return // -run has chosen some
	}
	for _, d := range deliberate {
		if _, ok := shown.Load(d.what); !ok && d.explain != nil {
			t.Errorf("no request shows this difference, so it is not one: %s", d.what)
		}
	}
}

// check sends a request to both backends at the same time.
func check(t *testing.T, r *rig, f front, q *request, shown *sync.Map) {
	t.Helper()
	var theirs, ours seen
	var group sync.WaitGroup
	group.Go(func() { theirs = send(r.port(f, r.fpm), q) })
	group.Go(func() { ours = send(r.port(f, r.listener), q) })
	group.Wait()
	if theirs["ended"] != "whole" && !q.chunked {
		t.Errorf("the response of php-fpm ended %s", theirs["ended"])
	}
	compare(t, pair{q: q, front: f, theirs: theirs, ours: ours}, shown)
}

// compare reports what differs and is not deliberate.
func compare(t *testing.T, p pair, shown *sync.Map) {
	t.Helper()
	all := maps.Clone(p.theirs)
	maps.Copy(all, p.ours)
	for _, item := range slices.Sorted(maps.Keys(all)) {
		want, has := p.theirs[item]
		got, have := p.ours[item]
		if want == got && has == have {
			continue
		}
		if what := p.explain(delta{item: item, want: want, got: got, extra: !has, lacks: !have}); what != "" {
			shown.Store(what, true)
			continue
		}
		t.Errorf("%s differs:\nphp-fpm  %s\nlistener %s", item, show(want, has), show(got, have))
	}
	if t.Failed() {
		t.Logf("php-fpm: %s\n%.300s", p.theirs["head"], p.theirs["body"])
	}
}

func show(text string, exists bool) string {
	if !exists {
		return "has none"
	}
	return fmt.Sprintf("%.600q", text)
}
