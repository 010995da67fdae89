//go:build linux

package parity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// subjects are the tables, by name.
var subjects = []struct {
	name string
	rows func() []request
}{
	{"routing", routing},
	{"variables", variables},
	{"request bodies", requestBodies},
	{"responses", responses},
	{"options", options},
	{"streams", streams},
}

// TestParity sends every request to every side and compares.
func TestParity(t *testing.T) {
	t.Parallel()
	code := map[string]string{}
	tables := map[string][]request{}
	for _, subject := range subjects {
		for _, q := range subject.rows() {
			q = q.complete()
			if q.php != "" {
				q.target = scriptOf(code, q.php) + q.target
			}
			tables[subject.name] = append(tables[subject.name], q)
		}
	}
	r := startRig(t, code)
	shown := map[string]int{}
	ran, total := 0, 0
	for _, subject := range subjects {
		rows := tables[subject.name]
		t.Run(subject.name, func(t *testing.T) {
			names := map[string]bool{}
			for _, q := range rows {
				name := strings.Join([]string{q.site, string(q.proto), q.String()}, " ")
				if names[name] {
					t.Errorf("two requests are named %q", name)
				}
				names[name] = true
				t.Run(name, func(t *testing.T) {
					ran++
					check(t, r, &q, shown)
				})
			}
		})
		total += len(rows)
	}
	if ran < total {
		return // -run has chosen some
	}
	for _, d := range deliberate {
		if shown[d.what] == 0 {
			t.Errorf("no request shows this difference, so it is not one: %s", d.what)
		}
	}
}

// scriptOf returns the path of a script with this code, which it adds.
func scriptOf(code map[string]string, php string) string {
	for name, text := range code {
		if text == php {
			return "/code/" + name
		}
	}
	name := fmt.Sprintf("s%03d.php", len(code))
	code[name] = php
	return "/code/" + name
}

// check sends a request to all sides at the same time, and fails if what they see differs.
func check(t *testing.T, r *rig, q *request, shown map[string]int) {
	unexplained, theirs := query(r, q, shown)
	// What a process has written just before its script kills it does not reach Caddy every
	// time.
	for range 3 {
		if len(unexplained) == 0 || !strings.Contains(q.php, "posix_kill(") {
			break
		}
		unexplained, theirs = query(r, q, shown)
	}
	for _, text := range slices.Sorted(maps.Keys(unexplained)) {
		t.Errorf("%s: %s", strings.Join(unexplained[text], " and "), text)
	}
	if t.Failed() {
		for _, item := range slices.Sorted(maps.Keys(theirs)) {
			if !strings.HasPrefix(item, "var ") && !strings.HasPrefix(item, "headers ") {
				t.Logf("php_fastcgi: %s: %.300q", item, theirs[item])
			}
		}
	}
}

// query sends a request to all sides at the same time. It returns the differences that are not
// deliberate, with the sides that show them, and what php_fastcgi has.
func query(r *rig, q *request, shown map[string]int) (unexplained map[string][]string, theirs seen) {
	var (
		mu      sync.Mutex
		group   sync.WaitGroup
		results = map[side]seen{}
	)
	for _, s := range sides {
		group.Go(func() {
			got := r.clients[s].do(r, s, q)
			if q.after != nil {
				got["afterwards"] = q.after(r, s)
			}
			mu.Lock()
			defer mu.Unlock()
			results[s] = got
		})
	}
	group.Wait()
	unexplained = map[string][]string{} // the sides, by text
	for _, s := range sides[1:] {
		p := pair{q: q, side: s, theirs: results[fastcgi], ours: results[s]}
		for _, d := range compare(p.theirs, p.ours) {
			if what := p.explain(d); what != "" {
				shown[what]++
				continue
			}
			unexplained[d.String()] = append(unexplained[d.String()], s.String())
		}
	}
	return unexplained, results[fastcgi]
}
