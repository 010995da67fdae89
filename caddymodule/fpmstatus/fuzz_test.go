package fpmstatus

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// FuzzStatus puts arbitrary values into the request of a worker and checks that they
// stay within their fields in every format.
func FuzzStatus(f *testing.F) {
	f.Add("GET", "/a?b", "q=<script>", "ada", "/srv/a.php")
	f.Add("G\nET", "/\n************************\npid: 1", "]]>", "\x00", "\"'\\\u2028")
	f.Add("\xff", "</a>", "&amp;", "a\r\nb: c", "{x=\"y\"} 1\n# EOF")
	f.Fuzz(func(t *testing.T, method, uri, query, user, script string) {
		page := func(method, uri, query, user, script string) *Page {
			info := pool.Info{Method: method, URI: uri, Query: query, User: user, Script: script}
			return Full(&pool.Stats{Name: script}, []Worker{{WorkerStats: pool.WorkerStats{State: pool.Busy, Request: info}}}, true)
		}
		for _, f := range append([]format{plainText}, formats...) {
			var got, plain bytes.Buffer
			f.write(&got, page(method, uri, query, user, script))
			f.write(&plain, page("a", "/a", "a", "a", "/a"))
			text := got.String()
			if lines := strings.Count(plain.String(), "\n"); strings.Count(text, "\n") != lines || strings.ContainsFunc(text, isControl) {
				t.Errorf("%s: line breaks or control characters in %q", f.contentType, text)
			}
			if tags := strings.Count(plain.String(), "<"); f.query != "json" && f.query != "" && f.query != "openmetrics" && strings.Count(text, "<") != tags {
				t.Errorf("%s: unescaped markup in %q", f.contentType, text)
			}
			switch f.query {
			case "json":
				if !json.Valid(got.Bytes()) {
					t.Errorf("not JSON: %q", text)
				}
			case "xml":
				if err := wellFormedXML(text); err != nil {
					t.Errorf("%v: %q", err, text)
				}
			}
		}
	})
}

func isControl(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }

func wellFormedXML(text string) error {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
