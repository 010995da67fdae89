//go:build linux && bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// workerBench is an application that is measured in worker mode and otherwise.
type workerBench struct {
	name     string
	packages []string // of Debian
	source   string   // its files
	writable []string
	works    []work
	rates    []float64 // the goals of the works: requests per second, against php-fpm
}

// plainApp is index.php of both, without a framework.
const plainApp = `<?php
$handler = static function () {
	switch ($_GET['do']) {
	case 'hello':
		echo "hello\n";
		break;
	case 'json':
		$in = json_decode('{"text":"' . file_get_contents('php://input') . '"}', true);
		header('Content-Type: application/json');
		echo json_encode(['got' => strlen($in['text']), 'again' => strlen(file_get_contents('php://input'))]);
		break;
	case 'upload':
		echo strlen(file_get_contents('php://input')), "\n";
	}
};
if (!function_exists('frankenphp_handle_request')) {
	$handler();
	return;
}
while (frankenphp_handle_request($handler)) {
}
`

var workerBenches = []workerBench{
	{name: "plain", works: []work{
		{name: "hello, 8", path: "/?do=hello", clients: 8, want: "hello\n", size: 6},
		{name: "2 KB JSON, 8", path: "/?do=json", clients: 8, body: 2000, want: `{"got":2000,"again":2000}`},
		{name: "1 MB upload, 8", path: "/?do=upload", clients: 8, body: 1 << 20, want: "1048576\n", size: 8},
	}, rates: []float64{0, 0, 0}},
	{
		name: "Symfony", packages: []string{"php-symfony-framework-bundle", "php-symfony-security-bundle", "php-symfony-twig-bundle"}, source: "../apps/testdata/symfony",
		writable: []string{"var", "var/sessions"},
		works:    []work{{name: "Symfony page, 8", path: "/?name=Ann", clients: 8, want: "<!doctype html><title>Home"}}, rates: []float64{6.5},
	},
	{
		name: "Laravel", packages: []string{"php-laravel-framework"}, source: "../apps/testdata/laravel",
		writable: []string{"storage/app", "storage/framework/sessions", "storage/framework/views", "storage/logs", "bootstrap/cache"},
		works:    []work{{name: "Laravel page, 8", path: "/", clients: 8, want: "<!doctype html><title>you</title>"}}, rates: []float64{4.5},
	},
}

// loopMax is how many requests the scripts of the frameworks serve before they end: that
// of php_pool, max_requests, instead of their 500 and 1000.
const loopMax = 10_000

// TestSpeedWorker measures an ordinary pool and worker mode beside Caddy with php-fpm, and
// FrankenPHP if FRANKENPHP_BIN names its program.
func TestSpeedWorker(t *testing.T) {
	only := regexp.MustCompile(*speedOnly)
	for _, bench := range workerBenches {
		if !only.MatchString(bench.name) {
			continue
		}
		rivals := bench.start(t)
		for i, w := range bench.works {
			counts := inTurns(t, w, rivals)
			fmt.Print(speedTable(w.name, counts))
			worker := counts[2]
			rate, cpu := worker.ratios(counts[1])
			verdicts := []verdict{atLeast("req/s to the ordinary pool", rate, 1), atMost("CPU to the ordinary pool", cpu, 1, "")}
			if goal := bench.rates[i]; goal > 0 {
				rate, _ := worker.ratios(counts[0])
				verdicts = append(verdicts, atLeast("req/s to php-fpm", rate, goal))
			}
			fmt.Print(targetLine(verdicts))
		}
	}
}

// start starts the servers, the incumbent first and worker mode third.
func (bench workerBench) start(t *testing.T) []*rival {
	t.Helper()
	dir := harness.TempDir(t)
	if len(bench.packages) > 0 {
		dir = harness.UnpackApp(t, bench.packages...)
	}
	app := filepath.Join(dir, "app")
	site := filepath.Join(app, "public")
	if bench.source == "" {
		harness.WriteFile(t, filepath.Join(site, "index.php"), plainApp)
	} else {
		harness.CopyTree(t, app, bench.source)
	}
	for _, name := range bench.writable {
		harness.WriteFile(t, filepath.Join(app, name, ".keep"), "")
	}
	harness.ChownToPHP(t, app)
	worker := rivalOf(t, harness.Start(t, harness.SharedLean, strings.Replace(speedCaddyfile, "PHP\n",
		fmt.Sprintf("php_pool {\nworker index.php {\nnum %d\nenv FRANKENPHP_LOOP_MAX %d\nenv MAX_REQUESTS %d\n}\n}\n",
			speedWorkers, loopMax, loopMax), 1), harness.Options{Site: site}))
	worker.name = "php_pool, worker mode"
	rivals := []*rival{caddyWith(harness.FPM)(t, site), caddyWith(harness.SharedLean)(t, site), worker}
	if os.Getenv("FRANKENPHP_BIN") != "" {
		rivals = append(rivals, frankenPHP(t, site, false), frankenPHP(t, site, true))
	}
	for _, r := range rivals {
		r.t = t
	}
	return rivals
}

// frankenPHP starts the program that FRANKENPHP_BIN names.
func frankenPHP(t *testing.T, site string, worker bool) *rival {
	t.Helper()
	dir, port := harness.TempDir(t), harness.FreePort(t)
	name, line, threads := "FrankenPHP", "", speedWorkers
	if worker {
		name, line, threads = "FrankenPHP, worker mode", fmt.Sprintf("worker %s/index.php %d", site, speedWorkers), speedWorkers+1
	}
	harness.WriteFile(t, filepath.Join(dir, "Caddyfile"), fmt.Sprintf(`{
	admin off
	persist_config off
	frankenphp {
		num_threads %d
		%s
	}
}
http://127.0.0.1:%d {
	root %s
	php_server
}
`, threads, line, port, site))
	harness.ChownToPHP(t, dir)
	r := serve(t, port, harness.Command{
		Args: []string{os.Getenv("FRANKENPHP_BIN"), "run", "--config", filepath.Join(dir, "Caddyfile")},
		Env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir,
			fmt.Sprintf("FRANKENPHP_LOOP_MAX=%d", loopMax), fmt.Sprintf("MAX_REQUESTS=%d", loopMax),
		}, Dir: dir, Log: filepath.Join(dir, "out.log"),
	})
	r.name = name
	return r
}
