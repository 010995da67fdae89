package worker_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestRequest_Bodies(t *testing.T) {
	s := newLoop(t, `<?php
		$in = fopen('php://input', 'r');
		$first = fread($in, 10);
		fseek($in, 0);
		$size = 0;
		$hash = hash_init('md5');
		while (!feof($in)) { $part = fread($in, 8192); $size += strlen($part); hash_update($hash, $part); }
		rewind($in);
		$again = strlen(stream_get_contents($in));
		fseek($in, -1, SEEK_END);
		$last = fread($in, 10);
		$temp = fopen('php://temp', 'w+');
		fwrite($temp, 'abc');
		rewind($temp);
		$memory = fopen('php://memory', 'w+');
		fwrite($memory, str_repeat('x', 100));
		ftruncate($memory, 50);
		$filter = file_get_contents('php://filter/read=string.toupper/resource=data:,abc');
		echo json_encode([$size, hash_final($hash), $again, strlen(file_get_contents('php://input')), $first === substr($last, 0, 0) ? '' : strlen($first), strlen($last),
			stream_get_contents($temp), fstat($memory)['size'], $filter, memory_get_usage() < 16e6]);`)
	w := s.start().mustLaunch()
	for _, size := range []int{1, 10, 1000, 65400, 65527, 65528, 65529, 65535, 65536, 131056, 1 << 20, 1<<20 + 1, 5 << 20} {
		body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		want := fmt.Sprintf(`[%d,"%x",%d,%d,%d,1,"abc",50,"ABC",true]`, size, md5sum(body), size, size, min(10, size))
		for _, method := range []string{http.MethodPut, http.MethodPost} {
			res := w.do(request{method: method, uri: "/", header: map[string]string{"Content-Type": "application/octet-stream"}, body: body})
			if res.body != want || res.err != nil {
				t.Errorf("%s of %d bytes: got %s, %v, %s, want %s", method, size, res.body, res.err, res.stderr, want)
			}
		}
	}
	if a := w.get("/"); !strings.HasPrefix(a.body, "[0,") {
		t.Errorf("a request without a body got %s", a.body)
	}
}

func TestRequest_Upload(t *testing.T) {
	s := newLoop(t, `<?php
		$f = $_FILES['f'];
		$to = __DIR__ . '/moved';
		echo json_encode([move_uploaded_file('/etc/hostname', $to), move_uploaded_file($f['tmp_name'], $to), move_uploaded_file($f['tmp_name'], $to),
			is_uploaded_file($f['tmp_name']), is_uploaded_file($_FILES['g']['tmp_name']), md5_file($to), substr(sprintf('%o', fileperms($to)), -3), $_FILES['g']['tmp_name']]);`,
		func(s *site) { s.ini("upload_max_filesize", "20M"); s.ini("post_max_size", "30M") })
	w := s.start().mustLaunch()
	for _, size := range []int{0, 1, 65000, 65528, 100000, 10 << 20} {
		content := strings.Repeat("0123456789abcde\n", size/16+1)[:size]
		res := w.do(multipart(file("f", "a", "", content), file("g", "b", "", "left")))
		var left string
		want := fmt.Sprintf(`[false,true,false,false,true,"%x","644","`, md5sum(content))
		if !strings.HasPrefix(res.body, want) {
			t.Errorf("%d bytes: got %s %s, want %s", size, res.body, res.stderr, want)
			continue
		}
		left = strings.ReplaceAll(strings.TrimSuffix(res.body[len(want):], `"]`), `\/`, "/")
		if exists(left) {
			t.Errorf("the upload %s that was not moved is left", left)
		}
	}
}

// TestCompare_ParseBody has request_parse_body(), which PHP has since 8.4.
func TestCompare_ParseBody(t *testing.T) {
	const script = `<?php
		if (!function_exists('request_parse_body')) { echo 'undefined'; return; }
		$names = function ($file) use (&$names) { return is_array($file) ? array_map($names, $file) : ($file === '' ? '' : md5_file($file) . json_encode(is_uploaded_file($file))); };
		try {
			[$post, $files] = @request_parse_body(isset($_GET['options']) ? json_decode($_GET['options'], true) : null);
			foreach ($files as $name => $f) { $files[$name]['tmp_name'] = $names($f['tmp_name']); }
			var_dump($post, $files, $_POST, $_FILES);
		} catch (Throwable $e) {
			echo get_class($e), ': ', $e->getMessage();
		}`
	with := func(method string, r request) request {
		r.method = method
		return r
	}
	var list []request
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete} {
		list = append(list,
			with(method, post(form, "a=1&b[]=2&b[]=3")),
			with(method, post(form+"; charset=UTF-8", "a=%20")),
			with(method, multipart("a=1", file("f", "a.txt", "text/plain", "content"), file("g[x]", "b", "", strings.Repeat("z", 100000)))),
			with(method, multipart("a=1", file("f", "", "", ""))),
			with(method, post("application/json", `{"a":1}`)),
			with(method, post("", "a=1")),
		)
	}
	for _, options := range []string{
		`{}`, `[1]`, `{"":1}`, `{"unknown":1}`, `{"post_max_size":null}`, `{"post_max_size":1.5}`, `{"POST_MAX_SIZE":"1K"}`, `{"post_max_size":10}`,
		`{"max_input_vars":1}`, `{"max_input_vars":"3"}`, `{"max_file_uploads":0}`, `{"max_file_uploads":1}`, `{"upload_max_filesize":"10"}`,
		`{"upload_max_filesize":"1M"}`, `{"max_multipart_body_parts":1}`, `{"max_multipart_body_parts":5}`,
	} {
		for _, r := range []request{post(form, "a=1&b[x]=2&b[]=3&c"), multipart("a=1", "b[]=2", file("f", "a", "", strings.Repeat("z", 2000)), file("g", "b", "", "y"))} {
			r.method, r.uri = http.MethodPut, "/?options="+url.QueryEscape(options)
			list = append(list, r)
		}
	}
	compare(t, []comparison{{"request_parse_body", script, list}})
}
