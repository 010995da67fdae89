//go:build linux

package apps

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// docsApps are the applications for the examples of docs/worker-mode.md, by heading.
var docsApps = map[string]struct {
	packages []string
	source   string
	files    map[string]string // in addition, or instead
	want     string            // part of the response to GET /?name=Ann
}{
	"# Worker mode": {want: `hello Ann 2`, files: map[string]string{"vendor/autoload.php": `<?php
		namespace App;
		class Kernel { private $n = 0; public function handle($get) { return "hello $get[name] " . ++$this->n; } }`}},
	"### Symfony": {
		packages: []string{"php-symfony-framework-bundle", "php-symfony-security-bundle", "php-symfony-twig-bundle"}, source: "symfony", want: "Hello Ann",
		files: map[string]string{"var/sessions/.keep": ""},
	},
	"### Slim": {packages: []string{"php-slim", "php-nyholm-psr7"}, source: "slim", want: "Hello Ann", files: map[string]string{"app.php": `<?php
		$app = new Slim\App();
		$app->get('/', function ($request, $response) {
			$response->getBody()->write('Hello ' . $request->getQueryParams()['name']);
			return $response;
		});
		return $app;`}},
	"### PSR-15": {packages: []string{"php-nyholm-psr7"}, source: "slim", want: "Hello Ann 2", files: map[string]string{"vendor/autoload.php": `<?php
		namespace Psr\Http\Server {
			interface RequestHandlerInterface { public function handle(\Psr\Http\Message\ServerRequestInterface $request): \Psr\Http\Message\ResponseInterface; }
		}
		namespace Nyholm\Psr7Server { // Debian does not have it
			class ServerRequestCreator {
				private $factory;
				public function __construct($factory) { $this->factory = $factory; }
				public function fromGlobals() { return $this->factory->createServerRequest('GET', $_SERVER['REQUEST_URI'], $_SERVER)->withQueryParams($_GET); }
			}
		}
		namespace App {
			spl_autoload_register(static function ($class) { require __DIR__ . '/../../usr/share/php/' . strtr($class, '\\', '/') . '.php'; });
			class Kernel implements \Psr\Http\Server\RequestHandlerInterface {
				private $n = 0;
				public function handle(\Psr\Http\Message\ServerRequestInterface $request): \Psr\Http\Message\ResponseInterface {
					return new \Nyholm\Psr7\Response(200, [], 'Hello ' . $request->getQueryParams()['name'] . ' ' . ++$this->n);
				}
			}
		}`}},
}

// phpExamples returns the PHP of a page by the heading above it.
func phpExamples(page string) map[string]string {
	examples := map[string]string{}
	heading, language, open := "", "", false
	var code strings.Builder
	for line := range strings.Lines(page) {
		switch fence, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); {
		case ok && !open:
			language, open = fence, true
			code.Reset()
		case ok:
			if open = false; language == "php" {
				examples[heading] = code.String()
			}
		case open:
			code.WriteString(line)
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(line)
		}
	}
	return examples
}

// The examples of docs/worker-mode.md run as they stand.
func TestWorkerApp_ExamplesOfTheDocs(t *testing.T) {
	t.Parallel()
	page := harness.ReadFile(t, filepath.Join("..", "..", "docs", "worker-mode.md"))
	found := 0
	for heading, script := range phpExamples(page) {
		found++
		app, ok := docsApps[heading]
		if !ok {
			t.Errorf("no application for the example of %s", heading)
			continue
		}
		t.Run(strings.TrimLeft(heading, "# "), func(t *testing.T) {
			t.Parallel()
			dir := harness.TempDir(t)
			if len(app.packages) > 0 {
				dir = harness.UnpackApp(t, app.packages...)
			}
			root := filepath.Join(dir, "app")
			if app.source != "" {
				harness.CopyTree(t, root, filepath.Join("testdata", app.source))
			}
			for name, content := range app.files {
				harness.WriteFile(t, filepath.Join(root, name), content)
			}
			harness.WriteFile(t, filepath.Join(root, "public", "index.php"), script)
			harness.ChownToPHP(t, root)
			s := harness.Start(t, harness.SharedLean, "http://127.0.0.1:{$PORT} {\nroot {$SITE}\nphp_pool {\nworker index.php 1\n}\n}\n",
				harness.Options{Site: filepath.Join(root, "public")})
			s.Get("/?name=Ann")
			s.Get("/?name=Ann").WantContains(t, 200, app.want)
		})
	}
	if found != len(docsApps) {
		t.Errorf("got %d examples, want %d", found, len(docsApps))
	}
}
