package worker_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
)

// browser returns a request with what a browser sends and Caddy adds.
func browser(method, uri, body string) request {
	r := request{method: method, uri: uri, body: body, header: map[string]string{
		"Host": "example.com", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Accept":          "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"Accept-Language": "en-US,en;q=0.5", "Accept-Encoding": "gzip, deflate, br, zstd",
		"Cookie":                    "PHPSESSID=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=1",
		"Upgrade-Insecure-Requests": "1", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none",
		"Sec-Fetch-User": "?1", "Priority": "u=0, i", "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "example.com",
	}, params: map[string]string{
		"SERVER_SOFTWARE": "Caddy/v2.11.4", "SERVER_PROTOCOL": "HTTP/2.0", "HTTPS": "on", "REMOTE_PORT": "50412", "REMOTE_HOST": "203.0.113.7",
		"DOCUMENT_URI": uri, "REQUEST_SCHEME": "https", "SSL_PROTOCOL": "TLSv1.3", "SSL_CIPHER": "TLS_AES_128_GCM_SHA256",
	}}
	if body != "" {
		r.header["Content-Type"] = "application/json"
	}
	return r
}

var benchmarks = []struct {
	name, php string
	request   request
}{
	{"hello", `<?php echo 'Hello';`, browser(http.MethodGet, "/", "")},
	{"json2k", `<?php echo strlen(file_get_contents('php://input')), count((array) json_decode(file_get_contents('php://input')));`, browser(http.MethodPost, "/", `{"x":"`+strings.Repeat("a", 2000)+`"}`)},
	{"json1m", `<?php echo strlen(file_get_contents('php://input')), count((array) json_decode(file_get_contents('php://input')));`, browser(http.MethodPost, "/", `{"x":"`+strings.Repeat("a", 1<<20-10)+`"}`)},
	{"input1m", `<?php echo strlen(file_get_contents('php://input'));`, request{method: http.MethodPost, uri: "/", body: strings.Repeat("x", 1<<20)}},
	{"upload1m", `<?php echo $_FILES['f']['size'];`, multipart(file("f", "a", "", strings.Repeat("0123456789abcde\n", 1<<16)))},
	{"echo1500", `<?php for ($i = 0; $i < 500; $i++) { echo 'line ', $i, "\n"; }`, browser(http.MethodGet, "/", "")},
	{"session", `<?php session_start(); echo $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;`, browser(http.MethodGet, "/", "")},
	{"query", `<?php echo $_GET['a'];`, browser(http.MethodGet, "/?a=1&b=2", "")},
}

// cpuTime returns the processor time of a process in nanoseconds.
func cpuTime(b *testing.B, pid int) int64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		b.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkRequest compares a worker script with plain PHP: the time of a request over an
// idle connection, and the processor time of PHP (php-µs/op).
func BenchmarkRequest(b *testing.B) {
	for _, c := range benchmarks {
		for _, kind := range []string{"plain", "worker"} {
			b.Run(c.name+"/"+kind, func(b *testing.B) {
				s := newSite(b, `<?php $handler = static function () { `+strings.TrimPrefix(c.php, "<?php ")+` }; while (frankenphp_handle_request($handler)) {}`)
				s.ini("upload_max_filesize", "20M")
				s.ini("post_max_size", "30M")
				s.write("plain.php", c.php)
				w := newPlain(s).instance
				pid := w.PID()
				if c.request.params == nil {
					c.request.params = map[string]string{}
				}
				if kind == "plain" {
					c.request.params["SCRIPT_FILENAME"] = s.dir + "/plain.php"
				} else {
					delete(c.request.params, "SCRIPT_FILENAME")
					w = s.start().mustLaunch()
					pid = w.PID()
				}
				run := w.sender(b, c.request.fastCGI(s))
				for range 200 {
					run()
				}
				b.ReportAllocs()
				before := cpuTime(b, pid)
				b.ResetTimer()
				for b.Loop() {
					run()
				}
				b.ReportMetric(float64(cpuTime(b, pid)-before)/1000/float64(b.N), "php-µs/op")
			})
		}
	}
}
