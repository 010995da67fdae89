package worker_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// TestRequest_FirstParameters sends parameters before and after REQUEST_METHOD that are
// those of the last request, differ in one byte, or are missing: nothing of another
// request may be in $_SERVER.
func TestRequest_FirstParameters(t *testing.T) {
	w := newLoop(t, `<?php echo json_encode(array_intersect_key($_SERVER, array_flip(explode(' ', $_GET['names']))));`).start().mustLaunch()
	names := []string{"A", "B", "C", "REQUEST_METHOD", "D", "E"}
	values := []string{"", "1", "2", strings.Repeat("x", 127), strings.Repeat("x", 128), "REQUEST_METHOD", "\x0eREQUEST_METHOD", "\x01\x01AB"}
	last := map[string]string{}
	for i := range 300 {
		// Mostly the last request with one change.
		want := maps.Clone(last)
		name := names[rand.N(len(names))]
		switch {
		case i%3 == 0:
		case i%7 == 0 && name != "REQUEST_METHOD":
			delete(want, name)
		default:
			want[name] = values[rand.N(len(values))]
		}
		if want["REQUEST_METHOD"] == "" {
			want["REQUEST_METHOD"] = "GET"
		}
		last = want
		r := fastcgi.NewRequest()
		for _, name := range names {
			if value, ok := want[name]; ok {
				r.AddParam(name, value)
			}
		}
		r.AddParam("QUERY_STRING", "names="+strings.Join(names, "+"))
		ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
		resp, err := w.conn.RoundTrip(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		cancel()
		r.Free()
		got := map[string]string{}
		if string(text) != "[]" {
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("request %d: got %q, want %q", i, got, want)
		}
	}
}
