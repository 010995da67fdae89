//go:build linux

package consumers

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/plugins/inputs/phpfpm"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

var caddyFlag = flag.String("caddy", "", "a Caddy to test instead of the one built from these sources")

// caddyfile has the page of a php-fpm and that of php_pool side by side.
const caddyfile = `{
	admin off
	persist_config off
	auto_https off
}
http://127.0.0.1:%[1]d {
	root %[2]s
	reverse_proxy /fpm unix/%[3]s/fpm.sock {
		transport fastcgi {
			split .php
		}
	}
	php_pool_status /pool www
	php_fastcgi /fpm.php unix/%[3]s/fpm.sock
	php_pool /pool.php {
		name www
		workers 2
	}
}
`

const fpmConf = `[global]
error_log = %[1]s/fpm.log
daemonize = no
[www]
listen = %[1]s/fpm.sock
listen.mode = 0666
pm = static
pm.max_children = 2
pm.status_path = /fpm
`

// serve starts a Caddy with both pages, of which each pool has served a request,
// and returns where.
func serve(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "php_pool-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // for PHP's user
		t.Fatal(err)
	}
	port := freePort(t)
	conf := fmt.Sprintf(fpmConf, dir)
	if os.Getuid() == 0 {
		conf += "user = www-data\ngroup = www-data\n"
	}
	for name, content := range map[string]string{
		"fpm.conf": conf, "fpm.php": "<?php echo 'served';", "pool.php": "<?php echo 'served';",
		"Caddyfile": fmt.Sprintf(caddyfile, port, dir, dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, findFPM(t), "-F", "-y", filepath.Join(dir, "fpm.conf"))
	run(t, caddy(t), "run", "--config", filepath.Join(dir, "Caddyfile"))
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	for _, script := range []string{"/fpm.php", "/pool.php"} {
		awaitServed(t, url+script)
	}
	return url
}

// caddy is the Caddy under test.
func caddy(t *testing.T) string {
	t.Helper()
	if *caddyFlag != "" {
		return *caddyFlag
	}
	path := filepath.Join(t.TempDir(), "caddy")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./caddymodule/cmd/caddy")
	build.Dir = "../../.." // the other module
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the Caddy under test: %v\n%s", err, out)
	}
	return path
}

// findFPM prefers the copy of make deps, which runs no service.
func findFPM(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("PHP_POOL_TEST_CACHE")
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(dir, "php_pool-test")
	}
	for _, pattern := range []string{filepath.Join(cache, "fpm/usr/sbin/php-fpm*"), "/usr/sbin/php-fpm*"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	t.Fatal("php-fpm is missing: run make deps")
	return ""
}

// run runs a program until the test ends.
func run(t *testing.T, args ...string) {
	t.Helper()
	var log strings.Builder
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	cmd.Stdout, cmd.Stderr = &log, &log
	// The test's context ends before its clean-up begins.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	// It ends with us too when we die. That follows the thread which started it
	// (go.dev/issue/27505), so this one does nothing else.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() // it ends as it ends
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		<-ended
		if t.Failed() {
			t.Logf("%s:\n%s", args[0], log.String())
		}
	})
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// awaitServed waits until a script answers.
func awaitServed(t *testing.T, url string) {
	t.Helper()
	var last any
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		body, err := get(t, url)
		if err == nil && body == "served" {
			return
		}
		last = errors.Join(err, errors.New(body))
	}
	t.Fatalf("%s does not answer: %v", url, last)
}

func get(t *testing.T, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// gathered collects the metrics that telegraf's input reads from a page.
type gathered struct {
	telegraf.Accumulator // what it does not use

	t      *testing.T
	shapes []string
	values map[string]any // the last of each field
	tags   map[string]string
}

func (g *gathered) AddFields(measurement string, fields map[string]any, tags map[string]string, _ ...time.Time) {
	text := fmt.Sprint(measurement, " ", slices.Sorted(maps.Keys(tags)))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		text += fmt.Sprintf(" %s:%T", name, fields[name])
		g.values[name] = fields[name]
	}
	maps.Copy(g.tags, tags)
	g.shapes = append(g.shapes, text)
}

func (g *gathered) AddError(err error) {
	if err != nil {
		g.t.Error("telegraf:", err)
	}
}

// agentLog turns what telegraf would log into test failures.
type agentLog struct {
	telegraf.Logger // what it does not use

	t *testing.T
}

func (c agentLog) Errorf(format string, args ...any) { c.t.Errorf("telegraf: "+format, args...) }

// gather runs telegraf's PHP-FPM input once.
func gather(t *testing.T, format, url string) *gathered {
	t.Helper()
	input := &phpfpm.Phpfpm{Format: format, Urls: []string{url}, Timeout: config.Duration(10 * time.Second), Log: agentLog{t: t}}
	if err := input.Init(); err != nil {
		t.Fatal(err)
	}
	g := &gathered{t: t, values: map[string]any{}, tags: map[string]string{}}
	if err := input.Gather(g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestTelegrafSeesNoDifference(t *testing.T) {
	url := serve(t)
	for format, query := range map[string]string{"status": "", "json": "?json&full"} {
		want, got := gather(t, format, url+"/fpm"+query), gather(t, format, url+"/pool"+query)
		if len(got.shapes) == 0 || !slices.Equal(got.shapes, want.shapes) {
			t.Errorf("%s: got\n%s\nwant\n%s", format, strings.Join(got.shapes, "\n"), strings.Join(want.shapes, "\n"))
		}
		if fmt.Sprint(got.values["total_processes"]) != "2" || fmt.Sprint(got.values["idle_processes"]) != "2" ||
			fmt.Sprint(got.values["accepted_conn"]) != "1" || got.tags["pool"] != "www" {
			t.Errorf("%s: got %v, %v", format, got.values, got.tags)
		}
	}
}

// series reads an OpenMetrics page as Prometheus does: name and type of each.
func series(t *testing.T, page string) []string {
	t.Helper()
	p := textparse.NewOpenMetricsParser([]byte(page), labels.NewSymbolTable())
	types := map[string]string{}
	var list []string
	for {
		entry, err := p.Next()
		switch {
		case errors.Is(err, io.EOF):
			return list
		case err != nil:
			t.Fatalf("Prometheus: %v in\n%s", err, page)
		case entry == textparse.EntryType:
			name, kind := p.Type()
			types[string(name)] = string(kind)
		case entry == textparse.EntrySeries:
			name, _, _ := p.Series()
			list = append(list, string(name)+" "+types[string(name)])
		}
	}
}

func TestPrometheusSeesNoDifference(t *testing.T) {
	url := serve(t)
	var pages [2][]string
	for i, path := range []string{"/fpm", "/pool"} {
		body, err := get(t, url+path+"?openmetrics")
		if err != nil {
			t.Fatal(err)
		}
		pages[i] = series(t, body)
	}
	if want, got := pages[0], pages[1]; len(got) < 12 || !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
