//go:build linux

package webservers

import "strings"

// form is the type of an HTML form.
const form = "Content-Type: application/x-www-form-urlencoded"

// upload is the body of a form with two files and a field.
var upload = "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nümlaut\r\n" +
	"--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a b.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n" + strings.Repeat("\x00\xff\r\n--", 50_000) + "\r\n" +
	"--b\r\nContent-Disposition: form-data; name=\"list[]\"; filename=\"c.txt\"\r\nContent-Type: text/plain\r\n\r\n\r\n--b--\r\n"

// large is a body of 3 MB.
var large = strings.Repeat("0123456789", 300_000)

// requestRows are requests of all kinds for scripts that print what they see.
func requestRows() []request {
	return []request{
		// which script
		{target: "/hello.php"},
		{target: "/fpm/ping", only: nginx},
		{name: "HEAD of the ping", method: "HEAD", target: "/fpm/ping", only: nginx},
		{target: "/see.php"},
		{target: "/see.php?a=1&b[]=x%20y&b[]=%C3%BC&c"},
		{target: "/see.php/"},
		{target: "/see.php/path/info"},
		{target: "/see.php/path/info?a=b"},
		{target: "/see.php/with%20space/%C3%BC/%2e%2e/x"},
		{target: "/see.php/a%2Fb%3Fc%23d%25e"},
		{target: "/see.php//double//slash"},
		{target: "/see.php/see.php/x"},
		{target: "/sub/see.php/x"},
		{target: "/sub/../see.php"},
		{target: "/./see.php"},
		{target: "//see.php"},
		{target: "/a%20b.php"},
		{target: "/a%20b.php/x%20y"},
		{target: "/%C3%BC.php/x"},
		{target: "/per%25cent.php/x"},
		{target: "/plus+.php/a+b"},
		{target: "/dir.php/see.php"},
		{target: "/dir.php/see.php/more"},
		{target: "/two.php.php"},
		{target: "/.hidden.php"},
		{target: "/link.php"},
		{target: "/outside.php"},
		{target: "/dangling.php"},
		{target: "/unreadable.php"},
		{target: "/missing.php"},
		{target: "/missing.php/info"},
		{target: "/missing/see.php"},
		{target: "/x.txt/foo.php"},
		{target: "/static.txt/foo.php"},
		{target: "/hello.php/foo.php/bar.php"},
		{target: "/empty/x.php"},
		{target: "/dir.php"},
		{target: "/old.phtml"},
		{target: "/archive.phar"},
		{target: "/static.txt"},
		{name: "long query", target: "/see.php?" + strings.Repeat("q", 4000)},

		// header
		{name: "Basic auth", target: "/see.php", fields: []string{"Authorization: Basic YWRhOnNlY3JldA=="}},
		{name: "Bearer auth", target: "/see.php", fields: []string{"Authorization: Bearer abc.def"}},
		{name: "cookies", target: "/see.php", fields: []string{"Cookie: a=1; b=x%20y; a=2"}},
		{name: "httpoxy", target: "/see.php", fields: []string{"Proxy: http://evil.test"}},
		{name: "unusual fields", target: "/see.php", fields: []string{"X-Empty:", "X-Latin: \xfcber", "X-Long: " + strings.Repeat("v", 3000), "Content-Type: text/x"}},
		{name: "conditional", target: "/see.php", fields: []string{"If-None-Match: \"a\"", "If-Modified-Since: Sat, 01 Jan 2022 00:00:00 GMT"}},
		// lighttpd has a range only if it has the whole response by then.
		{name: "range", not: lighttpd, target: "/hello.php", fields: []string{"Range: bytes=1-2"}},
		{name: "forwarded", target: "/see.php", fields: []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"}},

		// methods and bodies
		{name: "HEAD", method: "HEAD", target: "/see.php"},
		{method: "OPTIONS", target: "/see.php"},
		{method: "DELETE", target: "/see.php"},
		{name: "PATCH with a body", method: "PATCH", target: "/see.php", body: "patch"},
		{name: "PROPFIND", method: "PROPFIND", target: "/see.php"},
		{name: "form", method: "POST", target: "/see.php?q=1", fields: []string{form}, body: "a=1&b%5B%5D=%C3%BC&b%5B%5D=y+z"},
		{name: "JSON", method: "POST", target: "/see.php", fields: []string{"Content-Type: application/json"}, body: `{"a":[1,2]}`},
		{name: "POST without a body", method: "POST", target: "/see.php"},
		{name: "POST without a type", method: "POST", target: "/see.php", body: "a=1"},
		{name: "GET with a body", target: "/see.php", fields: []string{"Content-Type: text/plain"}, body: "got"},
		{name: "PUT", method: "PUT", target: "/see.php", fields: []string{"Content-Type: text/plain"}, body: strings.Repeat("put", 30_000)},
		{name: "3 MB", method: "POST", target: "/see.php", fields: []string{"Content-Type: application/octet-stream"}, body: large},
		{name: "3 MB that the script does not read", method: "POST", target: "/hello.php", fields: []string{"Content-Type: application/octet-stream"}, body: large},
		{name: "too large a form", method: "POST", target: "/see.php", fields: []string{form}, body: "a=" + strings.Repeat("x", 4<<20) + "&b=1"},
		{name: "upload", method: "POST", target: "/see.php", fields: []string{"Content-Type: multipart/form-data; boundary=b"}, body: upload},
		{name: "Expect", method: "POST", target: "/see.php", fields: []string{form, "Expect: 100-continue"}, body: "a=1"},
	}
}

// chunkedRows are requests with a body of unknown length. They are the last ones: where
// php-fpm does not read it, the next request on that connection may fail.
func chunkedRows() []request {
	return []request{
		{name: "chunked form", method: "POST", target: "/see.php", fields: []string{form}, body: "a=1&b=2", chunked: true},
		{name: "chunked 3 MB", method: "POST", target: "/see.php", fields: []string{"Content-Type: application/octet-stream"}, body: large, chunked: true},
		{name: "chunked upload", method: "POST", target: "/see.php", fields: []string{"Content-Type: multipart/form-data; boundary=b"}, body: upload, chunked: true},
	}
}
