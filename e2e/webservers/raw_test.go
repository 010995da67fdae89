//go:build linux

package webservers

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// unescape decodes a path. One that is not valid stays as it is.
func unescape(path string) string {
	if decoded, err := url.PathUnescape(path); err == nil {
		return decoded
	}
	return path
}

// checkRaw sends requests by FastCGI to both backends, with and without FCGI_KEEP_CONN,
// and compares all that comes back.
func checkRaw(t *testing.T, r *rig, rows []request, shown *sync.Map) {
	t.Helper()
	for _, flags := range []byte{0, keepConn} {
		for _, q := range rows {
			if q.chunked {
				continue // there is nothing like it in FastCGI
			}
			t.Run(fmt.Sprintf("%s flags %d", q.String(), flags), func(t *testing.T) {
				sent := begin(responder, flags) + stream(paramsRecord, pairs(variables(r.Site, &q)...)) + stream(stdinRecord, q.body)
				var all [2]seen
				var group sync.WaitGroup
				for i, b := range r.backends() {
					c := connect(t, []string{b.unix, b.tcp}[flags])
					group.Go(func() { all[i] = rawSeen(c, c.roundTrip(sent), flags) })
				}
				group.Wait()
				compare(t, pair{q: &q, front: front{name: "fastcgi"}, theirs: all[0], ours: all[1]}, shown)
			})
		}
	}
}

// rawSeen returns what a client has seen of a request.
func rawSeen(c *client, res result, flags byte) seen {
	got := seen{"end": res.end, "stderr": res.stderr, "other records": res.other}
	if res.err != nil {
		got["ended"] = res.err.Error()
	}
	head, body, _ := strings.Cut(res.stdout, "\r\n\r\n")
	got["head"] = head
	if !strings.Contains(head, "X-Seen") || !got.vars([]byte(body), 0) {
		got["body"] = body
	}
	if flags == 0 && res.err == nil {
		got["connection"] = "closed"
		if !c.closed() {
			got["connection"] = "open"
		}
	}
	return got
}

// The names of rows that differ.
const (
	unknownRecord = "unknown management record"
	cutParameters = "parameters cut in two records"
)

// protocolRows are sequences of records that no web server of these tests sends.
func protocolRows(site string) map[string]func(*client) result {
	params := stream(paramsRecord, pairs(variables(site, &request{method: "GET", target: "/hello.php"})...))
	post := pairs(variables(site, &request{method: "POST", target: "/see.php", body: "12345", fields: []string{"Content-Type: text/plain"}})...)
	send := func(parts ...string) func(*client) result {
		return func(c *client) result { return c.roundTrip(strings.Join(parts, "")) }
	}
	middle := len(post) / 2
	return map[string]func(*client) result{
		"values": func(c *client) result {
			c.Write([]byte(record(getValues, pairs([2]string{"FCGI_MPXS_CONNS", ""}))))
			return c.read(getValuesResult)
		},
		unknownRecord: func(c *client) result {
			c.Write([]byte(record(200, "abc")))
			return c.read(unknownType)
		},
		cutParameters:   send(begin(responder, keepConn), record(paramsRecord, post[:middle]), record(paramsRecord, post[middle:]), record(paramsRecord, ""), stream(stdinRecord, "12345")),
		"a long body":   send(begin(responder, keepConn), stream(paramsRecord, post), stream(stdinRecord, "1234567890")),
		"no parameters": send(begin(responder, keepConn), record(paramsRecord, ""), record(stdinRecord, "")),
		"two requests": func(c *client) result {
			first := c.roundTrip(begin(responder, keepConn) + params + record(stdinRecord, ""))
			second := c.roundTrip(begin(responder, keepConn) + params + record(stdinRecord, ""))
			return result{stdout: first.stdout + second.stdout, end: first.end + second.end, err: second.err}
		},
		"two requests sent together": func(c *client) result {
			both := begin(responder, keepConn) + params + record(stdinRecord, "")
			first := c.roundTrip(both + both)
			second := c.read(endRequest)
			return result{stdout: first.stdout + second.stdout, end: first.end + second.end, err: second.err}
		},
	}
}

// checkProtocol compares what both backends send for sequences of records.
func checkProtocol(t *testing.T, r *rig, shown *sync.Map) {
	t.Helper()
	rows := protocolRows(r.Site)
	names := make([]string, 0, len(rows))
	for name := range rows {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			var all [2]seen
			for i, b := range r.backends() {
				c := connect(t, b.unix)
				all[i] = rawSeen(c, rows[name](c), keepConn)
			}
			compare(t, pair{q: &request{name: name}, front: front{name: "fastcgi"}, theirs: all[0], ours: all[1]}, shown)
		})
	}
}
