package worker_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// showUpload is a script that shows what PHP has made of a form. The names of temporary
// files differ.
const showUpload = `<?php
	$show = function ($file) use (&$show) {
		return is_array($file) ? array_map($show, $file) : ($file === '' ? '' : (is_uploaded_file($file) ? 'uploaded ' : 'not uploaded ') . md5_file($file));
	};
	$files = $_FILES;
	foreach ($files as $name => $f) { $files[$name]['tmp_name'] = $show($f['tmp_name']); }
	var_dump($_POST, $files, $_REQUEST, is_uploaded_file(__FILE__), strlen(file_get_contents('php://input')));`

// multipart returns a request with parts between boundaries. A part that does not begin
// with a header is one of the field that it names.
func multipart(parts ...string) request {
	var b strings.Builder
	for _, p := range parts {
		if !strings.Contains(p, "\r\n\r\n") {
			name, value, _ := strings.Cut(p, "=")
			p = fmt.Sprintf("Content-Disposition: form-data; name=\"%s\"\r\n\r\n%s", name, value)
		}
		b.WriteString("--B\r\n" + p + "\r\n")
	}
	return post("multipart/form-data; boundary=B", b.String()+"--B--\r\n")
}

// file returns a part with a file.
func file(name, filename, contentType, content string) string {
	if contentType != "" {
		contentType = "\r\nContent-Type: " + contentType
	}
	return fmt.Sprintf("Content-Disposition: form-data; name=\"%s\"; filename=\"%s\"%s\r\n\r\n%s", name, filename, contentType, content)
}

func forms() []request {
	many := func(n int, part func(i int) string) []string {
		var parts []string
		for i := range n {
			parts = append(parts, part(i))
		}
		return parts
	}
	return []request{
		multipart("a=1", "b[]=2", "b[]=3", "x[y][z]=4", "c.d=5"),
		multipart(file("f", "a.txt", "text/plain", "file data"), "a=1"),
		multipart(file("f", "a.txt", "", ""), file("g", "", "application/octet-stream", "")),
		multipart(file("g[0][k]", "b.txt", "text/plain; charset=x", "B"), file("g[1][k]", "c.txt", "", "C"), file("h[]", "d", "", "D"), file("h[]", "e", "", "E")),
		multipart(file("f", `C:\dir\a.txt`, "", "1"), file("g", "dir/b.txt", "", "2"), file("h", `a\"b.txt`, "", "3"), file("i", `x\\y`, "", "4")),
		multipart(file("f]", "a", "", "1"), file("f[", "a", "", "2"), file("f[a]b", "a", "", "3"), file("f[a][b", "a", "", "4"), file("f.g", "a", "", "5"), file(" f", "a", "", "6")),
		multipart("MAX_FILE_SIZE=4", file("f", "a", "", "1234"), file("g", "b", "", "12345"), "max_file_size=6", file("h", "c", "", "12345")),
		multipart(file("f", "big", "", strings.Repeat("x", 5000))),
		multipart(file("f", "big", "", strings.Repeat("x", 4096))),
		multipart(file("f", "binary", "", "\r\n--\x00B\r\n--B-\r\r\n\n--C")),
		multipart(many(25, func(i int) string { return file(fmt.Sprintf("f%d", i), "a", "", "x") })...),
		multipart(many(30, func(i int) string { return fmt.Sprintf("v%d=%d", i, i) })...),
		multipart(many(60, func(i int) string { return fmt.Sprintf("v%d=%d", i, i) })...),
		multipart("a="+strings.Repeat("y", 200000), file("f", "a", "", "x")),
		multipart("Content-Disposition: form-data; name=unquoted\r\n\r\n1", "Content-Disposition: form-data; name='single'\r\n\r\n2",
			"content-disposition:form-data;NAME=\"upper\"\r\n\r\n3", "Content-Disposition: form-data;\r\n name=\"continued\"\r\n\r\n4",
			"X-A: b\r\nContent-Disposition: form-data; name=\"second\"\r\nContent-Disposition: form-data; name=\"third\"\r\n\r\n5",
			"Content-Disposition: form-data; name=\"semi;colon\"\r\n\r\n6", "Content-Disposition: form-data; name=\"with=equal\"\r\n\r\n7",
			"Content-Disposition: form-data; name=\"\"\r\n\r\n8", "Content-Type: text/plain\r\n\r\n9", "Content-Disposition: form-data; filename=\"noname\"\r\n\r\n10",
			"Content-Disposition: form-data; filename=\"noname2\"\r\n\r\n11", "Content-Disposition: form-data; name=two words\r\n\r\n12"),
		multipart("a=1", "Content-Disposition: form-data\r\n\r\ngarbled", "b=2"),
		post("multipart/form-data; boundary=B", "--B\nContent-Disposition: form-data; name=\"lf\"\n\nonly\n--B--\n"),
		post("multipart/form-data; boundary=B", "preamble\r\n--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nno end"),
		post("multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\nno end"),
		post("multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n"),
		post("multipart/form-data; boundary=B", "--B\r\n"),
		post("multipart/form-data; boundary=B", "--B--\r\n"),
		post("multipart/form-data; boundary=B", ""),
		post("multipart/form-data; boundary=B", "--B--trailing\r\n--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B--\r\n--B\r\nContent-Disposition: form-data; name=\"after\"\r\n\r\n2\r\n--B--\r\n"),
		post("multipart/form-data; boundary=\"q B\"", "--q B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--q B--\r\n"),
		post("multipart/form-data; BOUNDARY=B; charset=x", "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B--\r\n"),
		post("multipart/form-data; boundary=\"B", "--B\r\n\r\n"),
		post("multipart/form-data", "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B--\r\n"),
		{method: "PUT", uri: "/", header: map[string]string{"Content-Type": "multipart/form-data; boundary=B"}, body: "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B--\r\n"},
		post(form, strings.Repeat("a=1&", 100)),
		post(form, "a="+strings.Repeat("z", 400000)),
	}
}

func TestCompare_Forms(t *testing.T) {
	compare(t, []comparison{{"form", showUpload, forms()}}, func(s *site) {
		s.ini("upload_max_filesize", "4096")
		s.ini("max_file_uploads", "20")
		s.ini("max_input_vars", "50")
		s.ini("post_max_size", "300K")
		s.ini("upload_tmp_dir", s.dir)
		s.ini("max_multipart_body_parts", "40")
	})
}

func TestCompare_FormsOff(t *testing.T) {
	for name, setting := range map[string][2]string{
		"no uploads": {"file_uploads", "0"}, "no parsing": {"enable_post_data_reading", "0"}, "no limit": {"post_max_size", "0"},
		"no directory": {"upload_tmp_dir", "/nonexistent"},
	} {
		t.Run(name, func(t *testing.T) {
			short := slices.DeleteFunc(forms(), func(r request) bool { return len(r.body) > 300000 })
			compare(t, []comparison{{"form", showUpload, short}}, func(s *site) { s.ini(setting[0], setting[1]) })
		})
	}
}

// TestCompare_FormsMutated changes bytes of forms.
func TestCompare_FormsMutated(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	tokens := []string{"\r\n", "\n", "\r", "--B", "--", "\"", "'", ";", "=", "[", "]", ":", " ", "\\", "name", "filename=", "Content-Disposition: form-data; ", "x"}
	var list []request
	for _, r := range forms() {
		if len(r.body) > 3000 || len(r.body) == 0 {
			continue
		}
		for range 40 {
			body := []byte(r.body)
			for range 1 + random.IntN(4) {
				at, token := random.IntN(len(body)+1), tokens[random.IntN(len(tokens))]
				end := min(len(body), at+random.IntN(3)*random.IntN(8))
				body = append(append(append([]byte(nil), body[:at]...), token...), body[end:]...)
			}
			mutated := r
			mutated.body = string(body)
			list = append(list, mutated)
		}
	}
	compare(t, []comparison{{"mutated", showUpload, list}})
}
