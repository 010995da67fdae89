package devpage

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

func caddyhttpContext(r *http.Request) context.Context {
	return context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{})
}

// A version comes with each change of a file of the application, and says whether only
// style sheets have changed.
func TestWatcher_Changes(t *testing.T) {
	t.Parallel()
	target := t.TempDir()
	for _, name := range []string{"index.php", "app.css", "vendor/lib.php", "var/cache/x.php", "templates/a.twig", ".git/x.php", "debug.log", "old.php"} {
		writeFile(t, filepath.Join(target, name), "1")
	}
	dir := filepath.Join(t.TempDir(), "current")
	if err := os.Symlink(target, dir); err != nil {
		t.Skip(err) // Windows without the privilege
	}
	stop, generation := make(chan struct{}), make(chan int, 1)
	generation <- 1
	w := &watcher{
		dir: dir, logger: zap.NewNop(), stop: stop, changed: make(chan struct{}),
		generation: func() int { n := <-generation; generation <- n; return n },
	}
	t.Cleanup(func() { close(stop) })
	path := func(name string) string { return filepath.Join(target, name) }
	version := w.touch()
	for _, c := range []struct {
		name      string
		change    func() error
		styleOnly bool
	}{
		{"write", func() error { return os.WriteFile(path("index.php"), []byte("22"), 0o600) }, false},
		{"style sheet", func() error { return os.WriteFile(path("app.css"), []byte("22"), 0o600) }, true},
		{"rename over it", func() error {
			if err := os.WriteFile(path(".new"), []byte("333"), 0o600); err != nil {
				return err
			}
			return os.Rename(path(".new"), path("templates/a.twig"))
		}, false},
		{"time alone", func() error {
			at := time.Now().Add(-time.Hour)
			return os.Chtimes(path("index.php"), at, at)
		}, false},
		{"new file", func() error { return os.WriteFile(path("templates/b.twig"), nil, 0o600) }, false},
		{"removed file", func() error { return os.Remove(path("old.php")) }, false},
		{"removed style sheet", func() error { return os.Remove(path("app.css")) }, false},
		{"generation", func() error { <-generation; generation <- 2; return nil }, false},
		{"release", func() error {
			next := filepath.Join(t.TempDir(), "release")
			writeFile(t, filepath.Join(next, "index.php"), "new")
			if err := os.Symlink(next, dir+".new"); err != nil {
				return err
			}
			return os.Rename(dir+".new", dir)
		}, false},
	} {
		// What is not a part of the application changes nothing: the next change is that of
		// the case.
		for _, name := range []string{"vendor/lib.php", "var/cache/x.php", ".git/x.php", "debug.log"} {
			if err := os.WriteFile(path(name), []byte(c.name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		next, styleOnly := w.wait(version, t.Context().Done())
		if next != version+1 || styleOnly != c.styleOnly {
			t.Errorf("%s: got version %d after %d, only style sheets %v", c.name, next, version, styleOnly)
		}
		version = next
	}
	// A browser that was away gets a new page even if the last change was a style sheet.
	if next, styleOnly := w.wait(version-2, t.Context().Done()); next != version || styleOnly {
		t.Errorf("got %d, %v", next, styleOnly)
	}
	done := make(chan struct{})
	close(done)
	if next, styleOnly := w.wait(version, done); next != version || styleOnly {
		t.Errorf("nothing has changed: got %d, %v", next, styleOnly)
	}
}

// A cache that PHP writes for each page loads it again a few times, and no more.
func TestLoads_WithoutOwn(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	files := func(ms int) map[string]fileState { return map[string]fileState{"cache.php": {modified: at(ms)}} }
	changed := func(l *loads, ms int) bool { return len(l.withoutOwn([]string{"cache.php"}, files(ms), at(ms))) > 0 }
	var l loads
	l.begin(at(0))
	if !changed(&l, 10) {
		t.Fatal("the first change of a file is the developer's")
	}
	// Each reload makes PHP write it again.
	for n, want := range []bool{true, true, false, false} {
		begin := 1000 * (n + 1)
		l.reloaded([]string{"cache.php"}, at(begin))
		l.begin(at(begin + 100))
		if got := changed(&l, begin+150); got != want {
			t.Errorf("reload %d: the file counts %v", n, got)
		}
	}
	l.end(at(4100), at(4200))
	if changed(&l, 4240) {
		t.Error("PHP has written it at the end of the page")
	}
	if paths := l.withoutOwn([]string{"index.php"}, map[string]fileState{"index.php": {modified: at(4150)}}, at(4150)); len(paths) != 1 {
		t.Error("a file that has not reloaded the page is the developer's")
	}
	if paths := l.withoutOwn([]string{"cache.php"}, nil, at(4150)); len(paths) != 0 {
		t.Error("PHP has removed it")
	}
	// Also when something else reloads the page, much later.
	l.reloaded([]string{"index.php"}, at(30_000))
	l.begin(at(30_100))
	if changed(&l, 30_150) {
		t.Error("PHP writes it each time")
	}
	l.end(at(30_100), at(30_200))
	if !changed(&l, 30_700) {
		t.Error("nobody but the developer has written it while PHP made no page")
	}
	if !changed(&l, 30_150) {
		t.Error("the developer has changed it, so it counts again")
	}
}

func TestProjectDir(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "shop", "composer.json"), "{}")
	writeFile(t, filepath.Join(dir, "shop", "public", "index.php"), "")
	writeFile(t, filepath.Join(dir, "plain", "public", "index.php"), "")
	for root, want := range map[string]string{"shop/public": "shop", "shop": "shop", "plain/public": "plain/public", "missing": "missing"} {
		if got := projectDir(filepath.Join(dir, root)); got != filepath.Join(dir, want) {
			t.Errorf("%s: got %s", root, got)
		}
	}
	if got := projectDir("/"); got != "/" {
		t.Errorf("got %s", got)
	}
}
