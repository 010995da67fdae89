//go:build linux

package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestFilesChange_UnderLoad moves, replaces, links and removes files, directories and
// the root in random order while clients send requests. Each response must be the one
// that a look at the files between the begin and the end of the request gives: nothing
// that php_pool remembers may show. At most one change overlaps with a request.
func TestFilesChange_UnderLoad(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		for _, opcache := range []string{"0", "1"} {
			t.Run("opcache "+opcache, func(t *testing.T) { filesChange(t, b, opcache) })
		}
	})
}

func filesChange(t *testing.T, b harness.Backend, opcache string) {
	t.Helper()
	s := harness.Prepare(t, b, harness.Options{INI: [][2]string{
		{"opcache.enable", opcache},
		// PHP itself must not remember, other than in its cache of compiled scripts.
		{"opcache.revalidate_freq", "0"},
		{"opcache.file_update_protection", "0"},
		{"realpath_cache_size", "0"},
	}})
	s.Site = filepath.Join(s.Dir, "current")
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	// OPcache remembers where a symlink below the root leads, behind php-fpm too.
	f := &changingFiles{t: t, links: opcache == "0", site: s.Site, stage: filepath.Join(s.Dir, "stage"), random: rand.New(rand.NewPCG(seed, 0))}
	for _, release := range []string{"r1", "r2"} {
		for _, name := range []string{"index.php", "a.php", "dir/in.php", "dir/index.php", "c.txt"} {
			f.write(filepath.Join(s.Dir, release, name))
		}
	}
	harness.Symlink(t, filepath.Join(s.Dir, "r1"), s.Site)
	if err := s.Run(harness.PlainSite); err != nil {
		t.Fatal(err)
	}
	f.record()

	const clients = 4
	var wg sync.WaitGroup
	var completed [clients]atomic.Int64
	var responses [clients][]outcome
	stop := make(chan struct{})
	for i := range clients {
		random := rand.New(rand.NewPCG(seed, uint64(i)+1))
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a := outcome{method: []string{"GET", "GET", "POST"}[random.IntN(3)], path: askedPaths[random.IntN(len(askedPaths))]}
				a.from = f.done.Load()
				a.got = fetch(s, a.method, a.path)
				a.to = f.started.Load()
				responses[i] = append(responses[i], a)
				completed[i].Add(1)
			}
		})
	}
	for range harness.Rounds(400) {
		f.change()
		for i := range clients { // until each client has sent a request after the change
			for until := completed[i].Load() + 2; completed[i].Load() < until; {
				time.Sleep(100 * time.Microsecond)
			}
		}
	}
	close(stop)
	wg.Wait()
	seen := map[string]int{}
	for _, a := range slices.Concat(responses[:]...) {
		var want []string
		for step := a.from; step <= a.to; step++ {
			want = append(want, f.expected[step][a.method+a.path])
		}
		if !slices.Contains(want, a.got) {
			t.Errorf("step %d to %d (%s): %s %s: got %q, want one of %q", a.from, a.to, f.names[max(0, a.from-12):a.to+1], a.method, a.path, a.got, want)
		}
		seen[strings.Fields(a.got)[0]]++
	}
	for _, kind := range []string{"200", "308", "404", "405"} {
		if seen[kind] == 0 {
			t.Errorf("no response %s of %v: the test has tested nothing", kind, seen)
		}
	}
}

// askedPaths are the paths that the clients ask for.
var askedPaths = []string{
	"/", "/a.php", "/a.php/info", "/dir", "/dir/", "/dir/in.php", "/c.txt", "/pretty", "/index.php", "/x.php/index.php", "/x.php/", "/x.php",
}

// outcome is a response, and the steps during which its request was sent.
type outcome struct {
	method, path, got string
	from, to          int64
}

// fetch returns the status of a response, and what identifies the file that served
// it.
func fetch(s *harness.Server, method, path string) string {
	var body io.Reader
	if method == "POST" {
		body = strings.NewReader("body")
	}
	res := s.Do(s.Request(method, path, body))
	switch res.StatusCode {
	case http.StatusOK:
		return "200 " + res.Text
	case http.StatusPermanentRedirect:
		return "308 " + res.Header.Get("Location")
	}
	return strings.TrimSpace(fmt.Sprint(res.StatusCode, " ", res.Text)) // Caddy's own errors have no text
}

// changingFiles changes the files of a site, one system call at a time.
type changingFiles struct {
	t           *testing.T
	links       bool // symlinks below the root
	site, stage string
	random      *rand.Rand
	files       int // how many were written

	started, done atomic.Int64        // steps
	expected      []map[string]string // by step, then method and path
	names         []string            // of the steps
}

// write writes a file with a content and a time that no other file has.
func (f *changingFiles) write(path string) {
	f.t.Helper()
	f.files++
	content := fmt.Sprintf("file %d", f.files)
	if strings.HasSuffix(path, ".php") {
		content = fmt.Sprintf("<?php echo 'script %d ', $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['PATH_INFO'] ?? '', ' ', "+
			"$_SERVER['DOCUMENT_ROOT'], ' ', file_get_contents('php://input');", f.files)
	}
	harness.WriteFile(f.t, path, content)
	at := time.Unix(1_700_000_000+int64(f.files), 0) // OPcache compares it
	if err := os.Chtimes(path, at, at); err != nil {
		f.t.Fatal(err)
	}
}

// step makes one change and records what requests must get after it.
func (f *changingFiles) step(name string, change func() error) {
	f.t.Helper()
	f.started.Add(1)
	if err := change(); err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	f.names = append(f.names, name)
	f.record()
	f.done.Add(1)
}

func (f *changingFiles) record() {
	if len(f.names) == 0 {
		f.names = []string{"start"}
	}
	all := map[string]string{}
	for _, path := range askedPaths {
		for _, method := range []string{"GET", "POST"} {
			all[method+path] = f.fresh(method, path)
		}
	}
	f.expected = append(f.expected, all)
}

// change makes one random change.
func (f *changingFiles) change() {
	f.t.Helper()
	f.files++
	staged := filepath.Join(f.stage, fmt.Sprint(f.files))
	away := staged + ".away"
	if err := os.MkdirAll(f.stage, 0o755); err != nil {
		f.t.Fatal(err)
	}
	if f.random.IntN(12) == 0 {
		f.changeRoot(staged, away)
		return
	}
	name := []string{"index.php", "a.php", "a.php", "dir", "dir/in.php", "dir/index.php", "c.txt", "x.php", "pretty"}[f.random.IntN(9)]
	path := filepath.Join(f.site, name)
	if _, err := os.Lstat(path); err == nil {
		f.step("remove "+name, func() error { return os.Rename(path, away) })
		return
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return // no dir
	}
	switch kind := f.random.IntN(5); {
	case kind == 0 && name != "dir/in.php":
		f.write(filepath.Join(staged, "index.php"))
		f.write(filepath.Join(staged, "in.php"))
	case kind == 1:
		f.write(filepath.Join(staged, "note.txt")) // a directory without an index
	case kind == 2 && f.links:
		f.write(staged + "-target.php")
		harness.Symlink(f.t, staged+"-target.php", staged)
	case kind == 3 && f.links:
		f.write(staged + "-dir/index.php")
		harness.Symlink(f.t, staged+"-dir", staged)
	default:
		f.write(staged + filepath.Ext(name))
		staged += filepath.Ext(name)
	}
	f.step("create "+name, func() error { return os.Rename(staged, path) })
}

// changeRoot deploys another release by the symlink, or makes the root a directory or
// a symlink.
func (f *changingFiles) changeRoot(staged, away string) {
	f.t.Helper()
	target, err := os.Readlink(f.site)
	if err != nil { // a directory becomes a symlink to itself
		f.step("rename the root", func() error { return os.Rename(f.site, away) })
		harness.Symlink(f.t, away, staged)
		f.step("link the root", func() error { return os.Rename(staged, f.site) })
		return
	}
	switch f.random.IntN(3) {
	case 0: // the symlink becomes the directory
		f.step("remove the link", func() error { return os.Remove(f.site) })
		f.step("rename to the root", func() error { return os.Rename(target, f.site) })
		return
	case 1: // a symlink to the release by another name
		harness.Symlink(f.t, target, staged+".2")
		harness.Symlink(f.t, staged+".2", staged)
	default:
		f.write(filepath.Join(away, "index.php"))
		f.write(filepath.Join(away, "a.php"))
		harness.Symlink(f.t, away, staged)
	}
	f.step("switch the root", func() error { return os.Rename(staged, f.site) })
}

// fresh returns the response that a look at the files gives now.
func (f *changingFiles) fresh(method, path string) string {
	root, err := filepath.EvalSymlinks(f.site)
	if err != nil {
		return "404"
	}
	kind := func(name string) byte {
		switch info, err := os.Stat(filepath.Join(root, name)); {
		case err != nil:
			return 'm'
		case info.IsDir():
			return 'd'
		}
		return 'f'
	}
	run := func(name, info string) string {
		content := harness.ReadFile(f.t, filepath.Join(root, name))
		id := strings.Fields(strings.TrimPrefix(content, "<?php echo 'script "))[0]
		body := map[string]string{"POST": "body"}[method]
		return fmt.Sprintf("200 script %s %s %s %s %s", id, name, info, root, body)
	}
	front := func() string {
		if kind("/index.php") != 'f' {
			return "404"
		}
		return run("/index.php", "")
	}
	for end := 1; end <= len(path); end++ {
		if (end == len(path) || path[end] == '/') && strings.HasSuffix(path[:end], ".php") {
			switch kind(path[:end]) {
			case 'f':
				return run(path[:end], path[end:])
			case 'm':
				return front()
			}
		}
	}
	switch k := kind(path); {
	case k == 'f' && !strings.HasSuffix(path, "/"):
		if method != "GET" {
			return "405"
		}
		return "200 " + harness.ReadFile(f.t, filepath.Join(root, path))
	case k == 'd' && kind(path+"/index.php") == 'f':
		if !strings.HasSuffix(path, "/") {
			return "308 ./" + filepath.Base(path) + "/"
		}
		return run(path+"index.php", "")
	}
	return front()
}
