package worker_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// inputs returns the descriptors of this process for files without a name that a process
// has open, too: those of php://input.
func inputs(t *testing.T, pid int) (descriptors []int) {
	t.Helper()
	type file struct{ dev, inode uint64 }
	open := func(pid string) map[file]int {
		entries, err := os.ReadDir("/proc/" + pid + "/fd")
		if err != nil {
			t.Fatal(err)
		}
		files := map[file]int{}
		for _, entry := range entries {
			var stat syscall.Stat_t
			if syscall.Stat("/proc/"+pid+"/fd/"+entry.Name(), &stat) == nil && stat.Nlink == 0 && stat.Mode&syscall.S_IFMT == syscall.S_IFREG {
				files[file{stat.Dev, stat.Ino}], _ = strconv.Atoi(entry.Name())
			}
		}
		return files
	}
	own := open("self")
	for f, n := range open(strconv.Itoa(pid)) {
		if _, ok := own[f]; ok {
			descriptors = append(descriptors, n)
		}
	}
	return descriptors
}

const inputScript = `<?php
	$a = [$_SERVER['REQUEST_METHOD'], md5(file_get_contents('php://input')), count($_POST), md5(json_encode($_POST)), isset($_FILES['f']) ? md5_file($_FILES['f']['tmp_name']) : ''];
	if (isset($_GET['throw'])) { throw new Exception('x'); }
	if (isset($_GET['part'])) { fread(fopen('php://input', 'r'), 100); }
	echo json_encode($a);
	if (isset($_GET['exit'])) { exit; }`

// TestInput_Stored sends large bodies of all kinds to a worker whose php://input is a
// file of which we have a descriptor, and to one whose is not, and after each a request
// without a body.
func TestInput_Stored(t *testing.T) {
	for name, change := range map[string]func(*site){
		"stored":         func(*site) {},
		"upload_tmp_dir": func(s *site) { s.ini("upload_tmp_dir", s.dir) },
		"sent":           func(s *site) { s.ini("open_basedir", s.dir+":"+os.TempDir()) }, // PHP cannot read /proc
	} {
		t.Run(name, func(t *testing.T) {
			s := newLoop(t, inputScript, change, func(s *site) { s.ini("upload_max_filesize", "20M"); s.ini("post_max_size", "30M") }).start()
			w := s.mustLaunch()
			text := func(i, size int) string { return strings.Repeat(fmt.Sprintf("%015d\n", i), size/16+1)[:size] }
			check := func(r request, want string) {
				t.Helper()
				if res := w.do(r); res.body != want && (want != "" || res.status != 500) || res.err != nil {
					t.Fatalf("%s %s of %d bytes: got %s %s, %v, want %s", r.method, r.uri, len(r.body), res.body, res.stderr, res.err, want)
				}
				none := fmt.Sprintf(`["GET","%x",0,"%x",""]`, md5sum(""), md5sum("[]"))
				if res := w.do(request{uri: "/"}); res.body != none || res.err != nil {
					t.Fatalf("a request without a body after %s %s of %d bytes: got %s, %v", r.method, r.uri, len(r.body), res.body, res.err)
				}
			}
			octets := map[string]string{"Content-Type": "application/octet-stream"}
			for i, size := range []int{100_000, 70_000, 1 << 20, 3, 70_001, 5 << 20, 20_000, 100_000} {
				body := text(i, size)
				check(request{method: http.MethodPut, uri: "/", header: octets, body: body},
					fmt.Sprintf(`["PUT","%x",0,"%x",""]`, md5sum(body), md5sum("[]")))
				check(request{method: http.MethodPost, uri: "/?part", header: octets, body: body},
					fmt.Sprintf(`["POST","%x",0,"%x",""]`, md5sum(body), md5sum("[]")))
				check(request{method: http.MethodPut, uri: "/?throw", header: octets, body: body}, "")
				f := post(form, "a="+strings.ReplaceAll(body, "\n", ""))
				check(f, fmt.Sprintf(`["POST","%x",1,"%x",""]`, md5sum(f.body), md5sum(`{"a":"`+f.body[2:]+`"}`)))
				check(multipart(file("f", "a", "", body), "a=1"),
					fmt.Sprintf(`["POST","%x",1,"%x","%x"]`, md5sum(""), md5sum(`{"a":"1"}`), md5sum(body)))
				if n := len(inputs(t, w.PID())); (n == 1) == (name == "sent") {
					t.Fatalf("we have %d of its files", n)
				}
			}
			// The script ends, and the next one in the process has another file.
			body := text(99, 100_000)
			want := fmt.Sprintf(`["PUT","%x",0,"%x",""]`, md5sum(body), md5sum("[]"))
			if res := w.do(request{method: http.MethodPut, uri: "/?exit", header: octets, body: body}); res.body != want {
				t.Fatalf("got %s, %v, want %s", res.body, res.err, want)
			}
			w.waitDone()
			pid := w.PID()
			w.conn.Close()
			if n := len(inputs(t, pid)); n != 0 {
				t.Errorf("%d files of a script that has ended are open", n)
			}
			w = s.mustLaunch()
			for range 3 {
				check(request{method: http.MethodPut, uri: "/", header: octets, body: body}, want)
			}
		})
	}
}

// TestWorker_OpenInput checks that nothing but the file of php://input can be opened,
// whatever descriptor a script gives.
func TestWorker_OpenInput(t *testing.T) {
	s := newLoop(t, inputScript+`
		$GLOBALS['kept'] = [fopen(__FILE__, 'r'), fopen(__DIR__ . '/written', 'w'), fopen('/dev/null', 'r+'), fopen(__DIR__, 'r')];`).start()
	w := s.mustLaunch()
	w.do(request{method: http.MethodPut, uri: "/", body: strings.Repeat("x", 100_000)})
	allowed := inputs(t, w.PID())
	if len(allowed) != 1 {
		t.Fatalf("we have %v of its files", allowed)
	}
	opener := w.Process.(interface {
		OpenInput(descriptor int) (*os.File, error)
	})
	entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(w.PID()), "fd"))
	if err != nil || len(entries) < 8 {
		t.Fatalf("%d descriptors, %v", len(entries), err)
	}
	var stat syscall.Stat_t
	for _, n := range append([]int{-1, 9999}, numbers(t, entries)...) {
		f, err := opener.OpenInput(n)
		if err == nil {
			_ = f.Close()
		}
		path := fmt.Sprintf("/proc/%d/fd/%d", w.PID(), n)
		link, _ := os.Readlink(path)
		unnamed := syscall.Stat(path, &stat) == nil && stat.Nlink == 0 && stat.Mode&syscall.S_IFMT == syscall.S_IFREG
		if (err == nil) != unnamed { // OPcache has one, too
			t.Errorf("descriptor %d, %s: got %v", n, link, err)
		}
		if n == allowed[0] && err != nil {
			t.Errorf("php://input: %v", err)
		}
	}
}

// TestWorker_OpenInputAfterSetuid has a process that is another user than the one that
// it was started as, as after it has executed a program that is setuid root: the files of
// that user must not be opened.
func TestWorker_OpenInputAfterSetuid(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	s := newLoop(t, inputScript+`
		$path = __DIR__ . '/other';
		touch($path);
		chown($path, 33);
		$GLOBALS['kept'] = fopen($path, 'r');
		unlink($path);
		posix_seteuid(33);`).start()
	w := s.mustLaunch()
	w.do(request{method: http.MethodPut, uri: "/", body: strings.Repeat("x", 100_000)})
	if n := len(inputs(t, w.PID())); n != 1 {
		t.Errorf("we have %d of its files, want that of php://input", n)
	}
	opener := w.Process.(interface {
		OpenInput(descriptor int) (*os.File, error)
	})
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.PID()))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	var stat syscall.Stat_t
	for _, n := range numbers(t, entries) {
		if syscall.Stat(fmt.Sprintf("/proc/%d/fd/%d", w.PID(), n), &stat) != nil || stat.Uid != 33 || stat.Nlink != 0 {
			continue
		}
		found = true
		if f, err := opener.OpenInput(n); err == nil {
			t.Errorf("opened descriptor %d, a file of another user", n)
			_ = f.Close()
		}
	}
	if !found {
		t.Error("the script has no file of another user")
	}
}

func numbers(t *testing.T, entries []os.DirEntry) (list []int) {
	t.Helper()
	for _, entry := range entries {
		n, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}
