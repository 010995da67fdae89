//go:build linux

package parity

import (
	"strings"
	"unicode/utf8"
)

// fieldsOfRequests are header fields of requests.
var fieldsOfRequests = [][]string{
	{"Accept: */*"},
	{"Accept: text/html", "Accept: text/plain"},
	{"Accept-Language: nl, en;q=0.5", "Accept-Charset: utf-8", "Accept-Encoding: gzip, br"},
	{"X-Twice: 1", "X-Twice: 2"},
	{"X-Twice: 1", "x-twice: 2", "X-TWICE: 3"},
	{"X-Empty:"},
	{"X-Empty: ", "X-Empty: 2"},
	{"X-Space:   around   "},
	{"X-Tab:\ta\tb\t"},
	{"X-Latin: \xfc"},
	{"X-Utf8: ü"},
	{"X-Comma: a, b"},
	{"X-Quote: \"a\\\"b\""},
	{"X-Percent: %41%00"},
	{"X-Brace: {http.request.host} {env.HOME}"},
	{"Cookie: a=b"},
	{"Cookie: a=b; c=d"},
	{"Cookie: a=b", "Cookie: c=d"},
	{"Cookie: a[]=1; a[]=2; b.c=3; d%20e=f%20g"},
	{"Cookie: "},
	{"Cookie: noequals"},
	{"Cookie: a=b, c=d"},
	{"Cookie: a=1; a=2"},
	{"User-Agent: test"},
	{"User-Agent:"},
	{"Referer: http://example.test/"},
	{"Origin: null"},
	{"DNT: 1"},
	{"Upgrade-Insecure-Requests: 1"},
	{"If-None-Match: \"x\""},
	{"If-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT"},
	{"Range: bytes=0-"},
	{"If-Range: \"x\"", "Range: bytes=0-1"},
	{"Authorization: Bearer abc"},
	{"Authorization: Basic YWRhOnNlY3JldA=="},
	{"Authorization: Basic broken"},
	{"Authorization: Digest username=\"a\", realm=\"b\""},
	{"Authorization:"},
	{"Authorization: Basic YWRhOg=="},
	{"authorization: basic YWRhOnNlOmNyZXQ="},
	{"Proxy-Authorization: Basic YWRhOnNlY3JldA=="},
	{"X-Authorization: x"},
	{"Redirect-Http-Authorization: x"},
	{"X-Forwarded-For: 192.0.2.1"},
	{"X-Forwarded-For: 192.0.2.1, 192.0.2.2", "X-Forwarded-For: 192.0.2.3"},
	{"X-Forwarded-Proto: https"},
	{"X-Forwarded-Host: other.test"},
	{"X-Forwarded-Port: 8443"},
	{"X-Forwarded-Server: s"},
	{"X-Forwarded-Prefix: /p"},
	{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: other.test"},
	{"X-Forwarded-For:"},
	{"X-Forwarded-Proto: http", "X-Forwarded-Proto: https"},
	{"X-Real-Ip: 192.0.2.2"},
	{"Forwarded: for=192.0.2.3;proto=https"},
	{"Client-Ip: 192.0.2.2"},
	{"Via: 1.0 a"},
	{"Via: 1.0 a", "Via: 1.1 b"},
	{"True-Client-Ip: 192.0.2.2"},
	{"Connection: close"},
	{"Connection: keep-alive"},
	{"Connection: X-Hop", "X-Hop: 1"},
	{"Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5"},
	{"Proxy-Connection: keep-alive"},
	{"Connection: Upgrade", "Upgrade: other"},
	{"Connection: upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"},
	{"Upgrade: other"},
	{"Connection: Upgrade"},
	{"TE: trailers"},
	{"TE: gzip"},
	{"TE: trailers, deflate"},
	{"Trailer: X-T"},
	{"Keep-Alive: 300"},
	{"Alt-Svc: h2"},
	{"Early-Data: 1"},
	{"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"},
	{"Proxy: http://evil.test"},
	{"X_Under: 1"},
	{"X_Under: 1", "X-Under: 2"},
	{"Content_Length: 5"},
	{"Script-Filename: /etc/passwd"},
	{"Php-Value: auto_prepend_file=/etc/passwd"},
	{"Content-Type: text/plain"},
	{"Content-Encoding: gzip"},
	{"Content-Length: 0"},
	{"X.Dot: 1"},
	{"X!Bang: 1"},
	{"X~Tilde: 1"},
	{"X-1: 1"},
	{"1: 1"},
	{"-: 1"},
	{"X'Quote: 1"},
	{"X|Pipe: 1"},
	{"X+Plus: 1"},
	{"X#Hash: 1"},
	{"x-lower: 1"},
	{"X-UPPER-case: 1"},
	{"Host: other.test"},
	{"Host: plain.test:8080"},
	{"Host: PLAIN.test"},
	{"Host: plain.test."},
	{"Host: [::1]:80"},
	{"Host: 127.0.0.1"},
	{"Host: plain.test:"},
	{"Host:"},
	{"Host: a b"},
	{"Host: plain.test", "Host: plain.test"},
	{"Host: plain.test:443"},
	{"Host: pl%61in.test"},
	{"Host: user@plain.test"},
	{"Host: ünï.test"},
	{"X-Long: " + strings.Repeat("l", 30_000)},
	{"X-" + strings.Repeat("Name", 300) + ": 1"},
	many("X-Many", 200),
	{"Cookie: long=" + strings.Repeat("c", 20_000)},
	{"Pragma: no-cache", "Cache-Control: no-cache"},
	{"Warning: 199 - x"},
	{"From: a@b.test"},
	{"Max-Forwards: 3"},
	{"Date: Mon, 02 Jan 2006 15:04:05 GMT"},
	{"Depth: 1", "Destination: http://plain.test/x", "Overwrite: F", "Lock-Token: <x>"},
	{"X-Http-Method-Override: PUT"},
	{"X-Requested-With: XMLHttpRequest"},
	{"Sec-Fetch-Mode: cors", "Sec-Ch-Ua: \"x\";v=\"1\""},
	{"Https: on"},
	{"Remote-Addr: 192.0.2.1"},
	{"Remote-User: root"},
	{"Http-Host: x"},
	{"Expect: 100-continue"},
	{"Expect: other"},
	{"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Tracestate: a=b"},
}

func many(name string, n int) []string {
	var list []string
	for i := range n {
		list = append(list, name+strings.Repeat("x", i)+": 1")
	}
	return list
}

// methodsOfRequests are methods of requests without a body.
var methodsOfRequests = []string{
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "MKCOL", "REPORT", "SEARCH", "LOCK", "VERSION-CONTROL", "get", "GeT", "post", "Options", "X", "M-SEARCH", "A.B", "PRI", "QUERY",
	"VERYLONGMETHODNAMETHATNOBODYWOULDEVERUSEBUTTHATISALLOWEDALLTHESAME",
}

// queries are query strings.
var queries = []string{
	"?", "?a", "?a=", "?=b", "?a=b&a=c", "?a[]=1&a[]=2", "?a[b][c]=d", "?a.b=1&c%20d=2", "?a=%FC", "?a=ü", "?a=%00", "?a=b;c=d", "?a+b=c+d", "?a=1&amp;b=2", "?%61=%62", "?a=%zz", "?&&", "?a=b#c", "?-d+allow_url_include%3d1", "?-s", "?a-b", "?foo+bar", "?a=b?c", "?[=1", "?a=\"<>'", "?{http.request.host}", "?a= b",
}

func variables() []request {
	var rows []request
	for _, fields := range fieldsOfRequests {
		rows = append(rows, request{target: "/see.php", fields: fields})
	}
	named := func(q request) bool { // HTTP/2 cannot send the others
		for _, f := range q.fields {
			if !utf8.ValidString(f) || strings.ContainsAny(f, "\"'\t") || strings.HasPrefix(f, "x-twice") || strings.HasPrefix(f, "Host") || strings.HasPrefix(f, "Connection") || strings.HasSuffix(f, ":") {
				return false
			}
		}
		return true
	}
	for _, q := range rows {
		if !named(q) || strings.HasPrefix(q.fields[0], "X-Long") {
			continue
		}
		q.proto = h2
		rows = append(rows, q)
	}
	for _, method := range methodsOfRequests {
		rows = append(rows, request{method: method, target: "/see.php?m"})
	}
	for _, q := range queries {
		rows = append(rows, request{target: "/see.php" + q})
	}
	plain := gets("/see.php", "/see.php/info?x=y", "/", "/sub", "/sub/", "/missing", "/missing.php", "/static.txt", "/a%20b.php")
	rows = append(rows, each(plain, []proto{h10, h2, h2c, h3}, func(q *request, p proto) { q.proto = p })...)
	forwarded := []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: other.test", "Via: 1.0 a"}
	ofSites := []request{
		{target: "/see.php"},
		{target: "/see.php/info?x=y", fields: forwarded},
		{target: "/see.php", fields: []string{"X-Gone: 1", "X-More: 0", "X-Replaced: old", "User-Agent: test", "Accept: text/html"}},
		{target: "/see.php", fields: []string{"Authorization: Basic YWRhOnNlY3JldA=="}},
		{target: "/see.php", fields: []string{"X-Forwarded-For: not an address", "X-Forwarded-Proto: "}},
		{target: "/see.php", proto: h2, fields: forwarded},
		{target: "/missing"},
		{target: "/static.txt"},
		{target: "/missing.php"},
		{target: "/see.php", method: "POST", fields: []string{formType}, body: &body{data: "a=b"}},
		{target: "/see.php", method: "HEAD"},
	}
	return append(rows, onSites(ofSites, "env", "env-script", "env-script-name", "trusting", "header-up", "method", "proxy-rewrite", "authenticated", "request-headers", "vars")...)
}
