package worker_test

import (
	"net/http"
	"strconv"
	"testing"
)

// TestRequest_MemoryIsFlat checks that nothing of a request stays in the memory of PHP.
func TestRequest_MemoryIsFlat(t *testing.T) {
	s := newLoop(t, `<?php
		switch ($_GET['do']) {
			case 'memory': echo memory_get_usage(), ' ', count(get_resources()); break;
			case 'session': session_start(); $_SESSION['n'] = 1; break;
			case 'throw': throw new Exception('x');
			case 'buffers': ob_start(); echo 1; ob_start(); echo 'x'; break;
			case 'body': echo strlen(file_get_contents('php://input')); fopen('php://temp', 'w'); break;
			case 'headers': header('X-A: 1'); header_register_callback(function () { header('X-B: 1'); }); flush(); break;
		}`, func(s *site) { s.ini("opcache.file_update_protection", "0") }) // else PHP compiles the file each time, and keeps some of it
	w := s.start().mustLaunch()
	mix := []request{
		{uri: "/?do=session", header: map[string]string{"Cookie": "PHPSESSID=abcabcabcabcabcabcabcabcab"}},
		{uri: "/?do=throw"},
		{uri: "/?do=buffers"},
		{uri: "/?do=headers"},
		{method: http.MethodPost, uri: "/?do=body", header: map[string]string{"Content-Type": "application/json"}, body: `{"a":1}`},
		multipart(file("f", "a", "", "file data"), "a=1"),
	}
	mix[5].uri = "/?do=upload"
	measure := func(rounds int) (memory, resources int) {
		for range rounds {
			for _, r := range mix {
				if res := w.do(r); res.err != nil {
					t.Fatal(res.err)
				}
			}
		}
		var fields [2]string
		text := w.get("/?do=memory").body
		for i := range text {
			if text[i] == ' ' {
				fields = [2]string{text[:i], text[i+1:]}
			}
		}
		memory, err := strconv.Atoi(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		resources, err = strconv.Atoi(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		return memory, resources
	}
	before, resources := measure(50)
	after, more := measure(1000)
	if after-before > 4<<10 || more != resources { // 4 bytes for each request that throws
		t.Errorf("6000 requests have left %d bytes and %d resources", after-before, more-resources)
	}
}
