//go:build linux

package parity

import (
	"bytes"
	"mime/multipart"
	"strings"
)

// typed is a body with its type.
type typed struct {
	name   string
	fields []string
	data   string
}

func contents() []typed {
	form := []string{formType}
	return []typed{
		{"form", form, "a=b&c[]=1&c[]=2&d=%20+%FC"},
		{"form without type", nil, "a=b"},
		{"form of other case", []string{"Content-Type: APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-8"}, "a=b"},
		{"empty type", []string{"Content-Type:"}, "a=b"},
		{"two types", []string{formType, "Content-Type: text/plain"}, "a=b"},
		{"JSON", []string{"Content-Type: application/json"}, `{"a":"b"}`},
		{"text", []string{"Content-Type: text/plain; charset=utf-8"}, "some text\n"},
		{"binary", []string{"Content-Type: application/octet-stream"}, "\x00\x01\xff\r\n\x00"},
		{"nothing", form, ""},
		{"one byte", form, "a"},
		{"4096 bytes", form, "a=" + strings.Repeat("b", 4094)},
		{"4097 bytes", form, "a=" + strings.Repeat("b", 4095)},
		{"70 KB", []string{"Content-Type: text/plain"}, strings.Repeat("0123456789", 7000)},
		{"above post_max_size", form, "a=" + strings.Repeat("b", 1<<20+1)},
		{"multipart", multipartType, multipartForm("x", 100)},
		{"multipart, two files", multipartType, multipartForm("x", 100, "y", 5000)},
		{"multipart above upload_max_filesize", multipartType, multipartForm("x", 600_000)},
		{"multipart, array of files", multipartType, multipartForm("x[]", 10, "x[]", 20)},
		{"multipart without boundary", []string{"Content-Type: multipart/form-data"}, "x"},
		{"multipart cut off", multipartType, multipartForm("x", 100)[:150]},
		{"encoded", append([]string{"Content-Encoding: gzip"}, form...), "a=b"},
		{"upload by PUT", []string{"Content-Type: image/png"}, "\x89PNG\r\n"},
		{"trailing garbage", form, "a=b&&=&c=%"},
	}
}

var multipartType = []string{"Content-Type: multipart/form-data; boundary=limit"}

// multipartForm is a form with a field and files of these names and sizes.
func multipartForm(files ...any) string {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	w.SetBoundary("limit")
	w.WriteField("field", "ünïcode & more")
	for i := 0; i < len(files); i += 2 {
		part, _ := w.CreateFormFile(files[i].(string), "a file.bin")
		part.Write(bytes.Repeat([]byte("x"), files[i+1].(int)))
	}
	w.Close()
	return form.String()
}

func requestBodies() []request {
	var rows []request
	for _, c := range contents() {
		for _, method := range []string{"POST", "PUT"} {
			for _, chunked := range []bool{false, true} {
				if chunked && len(c.data) > 200_000 {
					continue
				}
				rows = append(rows, request{
					name: method + " " + c.name + map[bool]string{true: ", chunked"}[chunked], method: method, target: "/see.php?q=1",
					fields: c.fields, body: &body{data: c.data, chunked: chunked},
				})
			}
		}
	}
	for _, method := range []string{"GET", "HEAD", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "post", "TRACE", "X"} {
		for _, chunked := range []bool{false, true} {
			for _, fields := range [][]string{nil, {formType}} {
				rows = append(rows, request{method: method, target: "/see.php", fields: fields, body: &body{data: "a=b", chunked: chunked}})
			}
		}
	}
	small, large := &body{data: "a=b"}, &body{data: strings.Repeat("a", 20_000)}
	others := []request{
		{name: "by HTTP/1.0", proto: h10, body: small},
		{name: "expect", body: &body{data: "a=b", expect: true}},
		{name: "expect, chunked", body: &body{data: "a=b", expect: true, chunked: true}},
		{name: "expect, large", body: &body{data: large.data, expect: true}},
		{name: "trailers", body: &body{data: "a=b", chunked: true, trailer: []string{"X-Trailer: end"}}},
		{name: "by HTTP/2", proto: h2, body: small},
		{name: "by HTTP/2 without length", proto: h2, body: &body{data: "a=b", chunked: true}},
		{name: "by HTTP/2, large", proto: h2, body: large},
		{name: "by HTTP/2, large, without length", proto: h2, body: &body{data: large.data, chunked: true}},
		{name: "by h2c", proto: h2c, body: small},
		{name: "by HTTP/3", proto: h3, body: small},
		{name: "by HTTP/3 without length", proto: h3, body: &body{data: "a=b", chunked: true}},
		{name: "by HTTP/3, large", proto: h3, body: large},
		{name: "to a missing script", target: "/missing.php", body: small},
		{name: "to the front controller", target: "/missing", body: small},
		{name: "to a directory", target: "/sub", body: small},
		{name: "to a static file", target: "/static.txt", body: small},
		{name: "large, to a missing script", target: "/missing.php", body: large},
		{name: "400 KB, to a missing script", target: "/missing.php", body: &body{data: strings.Repeat("a", 400_000)}},
		{name: "400 KB, to NUL", target: "/%00", body: &body{data: strings.Repeat("a", 400_000)}},
		{name: "length of two fields", fields: []string{"Content-Length: 3"}, body: small},
		{name: "length that is not a number", body: &body{data: "a=b", length: "abc"}},
		{name: "negative length", body: &body{data: "a=b", length: "-1"}},
		{name: "length with a sign", body: &body{data: "a=b", length: "+3"}},
		{name: "length and chunks", fields: []string{"Content-Length: 3"}, body: &body{data: "a=b", chunked: true}},
		{name: "unread by the script", php: `echo "unread";`, body: large},
		{name: "400 KB unread by the script", php: `echo "unread";`, body: &body{data: strings.Repeat("a", 400_000)}},
		{name: "read after a flush", php: `echo "flushed"; flush(); echo strlen(file_get_contents('php://input'));`, body: large},
		{name: "read twice", php: `echo strlen(file_get_contents('php://input')), strlen(file_get_contents('php://input'));`, body: large},
		{name: "echoed", php: `header('Content-Type: application/octet-stream'); readfile('php://input');`, body: &body{data: strings.Repeat("0123456789", 40_000)}},
		{name: "stdin", php: `var_dump(file_get_contents('php://stdin'));`, body: small},
		{name: "the script ends before it reads", php: `exit;`, body: large},
		{name: "moved upload", fields: multipartType, body: &body{data: multipartForm("x", 1000)}, php: `
			var_dump(is_uploaded_file($_FILES['x']['tmp_name']), move_uploaded_file($_FILES['x']['tmp_name'], __DIR__ . '/../writable/' . bin2hex(random_bytes(8))));`},
	}
	for i := range others {
		q := &others[i]
		q.method = "POST"
		if q.fields == nil || q.fields[0] == "Content-Length: 3" {
			q.fields = append(q.fields, formType)
		}
		if q.target == "" && q.php == "" {
			q.target = "/see.php"
		}
	}
	rows = append(rows, others...)
	limited := []request{
		{method: "POST", target: "/see.php", fields: []string{formType}, body: &body{data: "a=" + strings.Repeat("b", 500)}},
		{method: "POST", target: "/see.php", fields: []string{formType}, body: &body{data: "a=" + strings.Repeat("b", 2000)}},
		{method: "POST", target: "/see.php", fields: []string{formType}, body: &body{data: "a=" + strings.Repeat("b", 2000), chunked: true}},
		{method: "POST", target: "/see.php", fields: []string{formType}, body: &body{data: "a=" + strings.Repeat("b", 20_000)}},
		{method: "POST", target: "/see.php", fields: []string{formType}, body: &body{data: "a=" + strings.Repeat("b", 20_000), chunked: true}},
		{method: "POST", target: "/see.php", fields: []string{formType}, body: &body{data: "a=" + strings.Repeat("b", 20_000)}, proto: h2},
		{method: "POST", target: "/see.php", fields: []string{formType}, body: &body{data: "a=" + strings.Repeat("b", 20_000), chunked: true}, proto: h2},
		{method: "POST", target: "/see.php", fields: []string{formType}, body: &body{data: "a=" + strings.Repeat("b", 400_000)}},
		{method: "POST", target: "/see.php", fields: []string{formType}, body: &body{data: "a=b", chunked: true}},
	}
	// Where the length is limited, Go rejects such a body only after it was sent.
	expecting := request{method: "POST", target: "/see.php", fields: []string{formType}, body: &body{data: "a=" + strings.Repeat("b", 20_000), expect: true}}
	rows = append(rows, onSites([]request{expecting}, "errors-limit", "buffered", "handled", "encode", "headers")...)
	return append(rows, onSites(limited, "limited", "errors-limit", "buffered", "handled", "encode", "headers")...)
}
