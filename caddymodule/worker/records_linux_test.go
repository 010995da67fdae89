package worker_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// TestScript_WrongRecords has scripts that write records to the connection that they get
// their requests from: before their response, within it, and when it has ended. At most
// one worker must be replaced, and nothing becomes the response of another request.
func TestScript_WrongRecords(t *testing.T) {
	s := newSite(t, `<?php
		function wrong($when) {
			if (($_GET['when'] ?? '') !== $when) { return; }
			foreach (get_resources('stream') as $r) {
				if (@stream_socket_get_name($r, true) !== false) { fwrite($r, hex2bin($_GET['hex'])); }
			}
		}
		while (frankenphp_handle_request(function () {
			wrong('before');
			echo 'x';
			if (ob_get_level()) { ob_flush(); }
			flush();
			wrong('within');
			if (isset($_GET['exit'])) { exit; }
		})) {
			wrong('after');
			$_GET = [];
		}`).start()
	record := func(typ byte, id uint16, content string) string {
		return string(fastcgitest.Encode(fastcgitest.Response{fastcgitest.Record(typ, id, content, 0)}, id))
	}
	w := s.mustLaunch()
	for name, text := range map[string]string{
		"stdout of an earlier request":    record(fastcgitest.TypeStdout, 1, "earlier"),
		"stdout of a later request":       record(fastcgitest.TypeStdout, 60000, "later"),
		"end of a later request":          record(3, 60000, "\x00\x00\x00\x00\x00\x00\x00\x00"),
		"short end":                       record(3, 1, "\x00"),
		"ready":                           record(fastcgitest.TypeReady, 0, ""),
		"ready twice":                     strings.Repeat(record(fastcgitest.TypeReady, 0, ""), 2),
		"hello":                           record(100, 0, strings.Repeat("A", 26)),
		"stop":                            record(102, 0, ""),
		"values":                          record(10, 0, ""),
		"parameters":                      record(4, 1, "\x01\x01ab"),
		"unknown type":                    record(77, 0, "text"),
		"another version":                 "\x02\x06\x00\x01\x00\x00\x00\x00",
		"text":                            "this is no record at all",
		"a large record":                  record(fastcgitest.TypeStdout, 1, strings.Repeat("y", 65535)),
		"more content than it has":        "\x01\x06\x00\x01\x00\x64\x00\x00abc",
		"part of a header":                "\x01\x06",
		"everything that a request needs": record(fastcgitest.TypeStdout, 60000, "\r\n\r\nforged") + record(3, 60000, strings.Repeat("\x00", 8)) + record(fastcgitest.TypeReady, 0, ""),
	} {
		for _, when := range []string{"before", "within", "after"} {
			uri := fmt.Sprintf("/?when=%s&hex=%s", when, hex.EncodeToString([]byte(text)))
			if name == "more content than it has" || name == "part of a header" {
				if when == "after" {
					continue // there it cannot end
				}
				uri += "&exit" // otherwise what the script writes next belongs to it
			}
			res := w.do(request{uri: uri})
			if strings.Contains(res.body, "forged") || strings.Contains(res.body, "later") {
				t.Errorf("%s %s: got %q", name, when, res.body)
			}
			replace := func() {
				if err := w.Kill(); err != nil {
					t.Fatal(err)
				}
				w.waitDone()
				w = s.mustLaunch()
			}
			if !w.conn.Reusable() || w.conn.Check() != nil {
				replace()
			}
			a := w.do(request{uri: "/"})
			if a.err != nil && when == "after" { // READY of the script itself has followed
				replace()
				a = w.do(request{uri: "/"})
			}
			if a.body != "x" || a.status != 200 {
				t.Errorf("after %s %s: got %+v", name, when, a)
			}
		}
	}
}
