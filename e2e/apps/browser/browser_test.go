//go:build linux

package browser

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var caddyFlag = flag.String("caddy", "", "a Caddy to test instead of the one built from these sources")

// maxWait is how long a test waits for something that should happen at once, on a machine
// that does a lot else.
const maxWait = 2 * time.Minute

// caddy returns the path of the Caddy to test.
func caddy(t *testing.T) string {
	t.Helper()
	if *caddyFlag != "" {
		return *caddyFlag
	}
	binary := filepath.Join(t.TempDir(), "caddy")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./caddymodule/cmd/caddy")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// site is an application that is being worked on.
type site struct {
	t        *testing.T
	dir, url string
}

// serve runs caddy php-pool serve in a directory with these files.
func serve(t *testing.T, files map[string]string) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "php_pool-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // for PHP's user, which writes a cache
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir}
	for name, text := range files {
		s.write(name, text)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(caddy(t), "php-pool", "serve", dir) //nolint:noctx // interrupted below
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-exited:
		case <-time.After(maxWait):
			_ = cmd.Process.Kill()
			t.Error("Caddy does not stop")
		}
	})
	serving := regexp.MustCompile(`(?m)^Serving \S+ at (\S+)$`)
	s.eventually("it serves", func() bool {
		text, _ := os.ReadFile(log.Name())
		if m := serving.FindSubmatch(text); m != nil {
			s.url = string(m[1])
		}
		return s.url != ""
	})
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil { //nolint:gosec // for PHP's user
		s.t.Fatal(err)
	}
}

func (s *site) eventually(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(maxWait); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("not after %v: %s", maxWait, what)
		}
	}
}

// open opens a page in a tab of a new browser.
func (s *site) open(path string) context.Context {
	s.t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.UserDataDir(filepath.Join(s.t.TempDir(), "profile")), chromedp.WSURLReadTimeout(maxWait))
	for _, name := range []string{"chromium", "google-chrome", "chromium-browser"} {
		if path, err := exec.LookPath(name); err == nil {
			options = append(options, chromedp.ExecPath(path))
			break
		}
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	s.t.Cleanup(cancel)
	return s.tab(ctx, path)
}

// tab opens a page in another tab.
func (s *site) tab(browser context.Context, path string) context.Context {
	s.t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	s.t.Cleanup(cancel)
	if err := chromedp.Run(ctx, chromedp.Navigate(s.url+path)); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	return ctx
}

// eval returns the value of an expression in a page; it is not there while the page loads.
func eval[T any](s *site, page context.Context, expression string) (value T) {
	s.t.Helper()
	for end := time.Now().Add(maxWait); ; time.Sleep(20 * time.Millisecond) {
		err := chromedp.Run(page, chromedp.Evaluate(expression, &value))
		if err == nil {
			return value
		}
		if errors.Is(err, context.Canceled) || time.Now().After(end) {
			s.t.Fatalf("%s: %v", expression, err)
		}
	}
}

const bodyText = `document.body ? document.body.innerText : ""`

// shows waits until the page shows a text, and returns how long that took.
func (s *site) shows(page context.Context, text string) time.Duration {
	s.t.Helper()
	begin := time.Now()
	s.eventually("the page shows "+text, func() bool { return strings.Contains(eval[string](s, page, bodyText), text) })
	return time.Since(begin)
}

// TestDev_FollowsEdits edits a script in the ways in which editors and tools do. The browser
// shows each edit; how soon is logged.
func TestDev_FollowsEdits(t *testing.T) {
	s := serve(t, map[string]string{"index.php": "<?php echo '<body>edit 0';", "composer.json": "{}"})
	page := s.open("/")
	s.shows(page, "edit 0")
	edits := []func(text string) error{
		func(text string) error { return os.WriteFile(s.path("index.php"), []byte(text), 0o644) }, //nolint:gosec // as above
		func(text string) error {
			if err := os.WriteFile(s.path("index.php~"), []byte(text), 0o644); err != nil { //nolint:gosec // as above
				return err
			}
			return os.Rename(s.path("index.php~"), s.path("index.php"))
		},
		func(text string) error {
			out, err := exec.CommandContext(t.Context(), "sed", "-i", "s/.*/"+strings.ReplaceAll(text, "/", `\/`)+"/", s.path("index.php")).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		},
	}
	var slowest time.Duration
	for i := 1; i <= 21; i++ {
		text := fmt.Sprintf("<?php echo '<body>edit %d.';", i)
		if err := edits[i%len(edits)](text); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, s.shows(page, fmt.Sprintf("edit %d.", i)))
		time.Sleep(300 * time.Millisecond) // nobody edits faster, again and again
	}
	t.Logf("the slowest of 21 edits was shown after %v", slowest)
}

// TestDev_FollowsEditsOnBindMount edits a file under another path than the one that Caddy
// watches, as on a mount of a container.
func TestDev_FollowsEditsOnBindMount(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount")
	}
	source := t.TempDir()
	s := serve(t, map[string]string{"index.php": "<?php include 'src/part.php';", "composer.json": "{}"})
	if err := os.Mkdir(s.path("src"), 0o755); err != nil { //nolint:gosec // for PHP's user
		t.Fatal(err)
	}
	part := filepath.Join(source, "part.php")
	write := func(text string) {
		if err := os.WriteFile(part, []byte(text), 0o644); err != nil { //nolint:gosec // for PHP's user
			t.Fatal(err)
		}
	}
	write("<body>before")
	if err := syscall.Mount(source, s.path("src"), "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(s.path("src"), syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	page := s.open("/")
	s.shows(page, "before")
	write("<body>after")
	s.shows(page, "after")
}

// TestDev_Styles replaces a style sheet without loading the page again, so the scroll
// position stays, on a page that allows scripts from its own host only.
func TestDev_Styles(t *testing.T) {
	s := serve(t, map[string]string{
		"index.php": `<?php header("Content-Security-Policy: default-src 'self'"); ?><!doctype html><head><link rel="stylesheet" href="/app.css?v=1"></head>` +
			`<body><div id="tall">x</div><?php echo $undefined; error_log('<b>logged</b>');`,
		"app.css": "#tall { height: 9000px; color: rgb(1, 1, 1) }",
	})
	page := s.open("/")
	if text := eval[string](s, page, `document.querySelector("php-pool-dev").shadowRoot.textContent`); !strings.Contains(text, "PHP: 2 messages") ||
		!strings.Contains(text, "Warning: Undefined variable $undefined in "+s.path("index.php")) || !strings.Contains(text, "<b>logged</b>") {
		t.Errorf("the badge shows %q", text)
	}
	eval[any](s, page, "window.loaded = true; scrollTo(0, 5000)")
	color := `getComputedStyle(document.getElementById("tall")).color`
	for i := 2; i < 5; i++ {
		want := fmt.Sprintf("rgb(%d, 1, 1)", i)
		s.write("app.css", fmt.Sprintf("#tall { height: 9000px; color: %s }", want))
		s.eventually("the color is "+want, func() bool { return eval[string](s, page, color) == want })
	}
	if y, loaded := eval[int](s, page, "scrollY"), eval[bool](s, page, "window.loaded === true"); y != 5000 || !loaded {
		t.Errorf("scrolled to %d, the page was not loaded again %v", y, loaded)
	}
	sheets := `document.querySelectorAll('link[rel="stylesheet"]').length`
	s.eventually("one sheet is left", func() bool { return eval[int](s, page, sheets) == 1 })
}

// TestDev_ErrorPage shows an error with its source, and the page again when it is mended.
func TestDev_ErrorPage(t *testing.T) {
	const good = "<?php\necho '<body>good';\n"
	s := serve(t, map[string]string{"index.php": good})
	page := s.open("/")
	s.shows(page, "good")
	s.write("index.php", "<?php\necho '<body>', missing();\n")
	s.shows(page, "Call to undefined function missing()")
	if text := eval[string](s, page, `document.querySelector("tr.wrong").innerText`); text != "2\techo '<body>', missing();" {
		t.Errorf("the line of the error is %q", text)
	}
	if background := eval[string](s, page, `getComputedStyle(document.querySelector("tr.wrong")).backgroundColor`); background == "rgba(0, 0, 0, 0)" {
		t.Error("the page's styles do not apply")
	}
	s.write("index.php", "<?php\necho '<body>'\n")
	s.shows(page, "Parse error")
	s.write("index.php", good)
	s.shows(page, "good")
}

// TestDev_OwnCache has a page that writes a cache each time. It is not loaded again and
// again, and still follows edits.
func TestDev_OwnCache(t *testing.T) {
	s := serve(t, map[string]string{
		"index.php": `<?php file_put_contents(__DIR__ . '/compiled.php', '<?php // ' . hrtime(true)); file_put_contents('/tmp/' . basename(__DIR__) . '.log', "x", FILE_APPEND); echo '<body>first';`,
	})
	counter := filepath.Join("/tmp", filepath.Base(s.dir)+".log")
	t.Cleanup(func() { os.Remove(counter) })
	page := s.open("/")
	s.shows(page, "first")
	loads := func() int {
		text, err := os.ReadFile(counter)
		if err != nil {
			t.Fatal(err)
		}
		return len(text)
	}
	// With the loads of the edits come a few for the cache. If each load caused the next one,
	// there would be hundreds.
	for i := range 5 {
		s.write("index.php", strings.Replace(string(mustRead(t, s.path("index.php"))), "<body>", fmt.Sprintf("<body>edit %d ", i), 1))
		s.shows(page, fmt.Sprintf("edit %d ", i))
	}
	if n := loads(); n > 12 {
		t.Errorf("the page was loaded %d times for 5 edits", n)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestDev_ManyTabs opens more tabs than a browser has connections to a server. All of them
// work: those that are hidden wait for no change.
func TestDev_ManyTabs(t *testing.T) {
	s := serve(t, map[string]string{"index.php": "<?php echo '<body>tab';"})
	page := s.open("/")
	for range 9 {
		page = s.tab(page, "/")
		s.shows(page, "tab")
	}
	s.write("index.php", "<?php echo '<body>edited';")
	s.shows(page, "edited")
}
