//go:build linux

package apps

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// clientRun has the requests of one client to an application, in their order.
type clientRun []clientRequest

type clientRequest struct {
	method, path, contentType, body string

	user, password string // for HTTP Basic
}

func get(path string) clientRequest { return clientRequest{method: "GET", path: path} }

func send(method, path, contentType, body string) clientRequest {
	return clientRequest{method: method, path: path, contentType: contentType, body: body}
}

// login sends the form of Symfony's firewall.
func login(user, password string) clientRequest {
	return send("POST", "/login", formType, url.Values{"_username": {user}, "_password": {password}}.Encode())
}

// as is get with HTTP Basic.
func as(user, password, path string) clientRequest {
	return clientRequest{method: "GET", path: path, user: user, password: password}
}

const formType = "application/x-www-form-urlencoded"

// upload is a form with a file.
func upload(path, name string, content []byte) clientRequest {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.SetBoundary("boundary-of-the-test") // a Buffer and a valid boundary give no errors
	_ = form.WriteField("title", "a file")
	part, _ := form.CreateFormFile("file", name)
	_, _ = part.Write(content)
	_ = form.Close()
	return send("POST", path, form.FormDataContentType(), body.String())
}

// workerApp is an application that runs in an ordinary pool and in worker mode.
type workerApp struct {
	packages []string
	source   string // below testdata
	writable []string
	runs     []clientRun
	hello    string // of the first run
	options  []string
}

// masks replace what differs in each run.
var masks = []harness.Mask{
	harness.NewMask(`127\.0\.0\.1:\d+`, "HOST"),
	harness.NewMask(`(?i)(Set-Cookie: (?:PHPSESSID|laravel_session|flavor|XSRF-TOKEN)=)[^;\n]+`, "${1}VALUE"),
	harness.NewMask(`(?i)expires=[^;\n]+`, "expires=TIME"),
	harness.NewMask(`(Date|Expires): [^\n]+`, "$1: TIME"),
	harness.NewMask(`Max-Age=\d+`, "Max-Age=N"),
}

// run returns what the client got, masked.
func (v clientRun) run(t *testing.T, s *harness.Server) []string {
	t.Helper()
	var got []string
	client := harness.NewBrowserClient(t)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, r := range v {
		req, err := http.NewRequestWithContext(t.Context(), r.method, s.URL+r.path, strings.NewReader(r.body))
		if err != nil {
			t.Error(err)
			return nil
		}
		if r.contentType != "" {
			req.Header.Set("Content-Type", r.contentType)
		}
		if r.user != "" {
			req.SetBasicAuth(r.user, r.password)
		}
		req.Header.Set("Accept-Language", "nl, en;q=0.5")
		res, err := client.Do(req)
		if err != nil {
			t.Errorf("%s %s: %v", r.method, r.path, err)
			return nil
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Errorf("%s %s: %v", r.method, r.path, err)
		}
		var header strings.Builder
		res.Header.Del("Content-Length") // it is announced where the whole response has arrived
		res.Header.Del("Via")
		res.Header.Del("Server")
		res.Header.Del("X-Via-Proxy")
		res.Header.Write(&header) // sorted; a Builder has no errors
		text := strings.ReplaceAll(fmt.Sprintf("%s %s: %s\n%s\n%s", r.method, r.path, res.Status, header.String(), body), "\r", "")
		for _, m := range masks {
			text = m.Pattern.ReplaceAllString(text, m.With)
		}
		got = append(got, text)
	}
	return got
}

// start runs the application with these lines in the block of php_pool.
func (a workerApp) start(t *testing.T, b harness.Backend, lines ...string) *harness.Server {
	t.Helper()
	dir := harness.UnpackApp(t, a.packages...)
	app := filepath.Join(dir, "app")
	harness.CopyTree(t, app, filepath.Join("testdata", a.source))
	for _, name := range a.writable {
		harness.WriteFile(t, filepath.Join(app, name, ".keep"), "")
	}
	harness.ChownToPHP(t, app)
	lines = slices.Concat(lines, b.Lines, a.options, []string{"start_timeout 2m"})
	s := harness.Start(t, b, "http://127.0.0.1:{$PORT} {\nroot {$SITE}\nphp_pool {\n"+strings.Join(lines, "\n")+"\n}\nfile_server\n}\n",
		harness.Options{Site: filepath.Join(app, "public")})
	return s
}

// TestWorkerApp_SameResponses runs applications in an ordinary pool, and then in worker
// mode: twice in the same order, in a random order, and several clients at a time.
func TestWorkerApp_SameResponses(t *testing.T) {
	t.Parallel()
	for name, app := range workerApps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain := app.start(t, harness.SharedLean, "name main", "workers 2")
			want := make([][]string, len(app.runs))
			for range 2 { // the first requests fill the application's caches
				for i, v := range app.runs {
					want[i] = v.run(t, plain)
				}
			}
			if !strings.Contains(want[0][0], app.hello) {
				t.Fatalf("got %s", want[0][0])
			}
			harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
				s := app.start(t, b, "name plain", "worker index.php {\nname main\nnum 2\n}")
				check := func(when string, i int) {
					t.Helper()
					got := app.runs[i].run(t, s)
					for j := range got {
						if got[j] != want[i][j] {
							t.Errorf("%s, run %d, request %d: got\n%s\nin an ordinary pool\n%s", when, i, j, got[j], want[i][j])
						}
					}
				}
				for _, when := range []string{"first", "second"} {
					for i := range app.runs {
						check(when, i)
					}
				}
				for range 5 {
					order := rand.Perm(len(app.runs)) // it is logged
					for _, i := range order {
						check(fmt.Sprint("in the order ", order), i)
					}
				}
				var clients sync.WaitGroup
				for c := range 4 {
					clients.Go(func() {
						for n := range 10 {
							check("four clients", (c*3+n)%len(app.runs))
						}
					})
				}
				clients.Wait()
				s.WantNoneFailed()
				if n := s.PoolNamed("plain").Requests.Total; n != 0 {
					t.Errorf("the ordinary pool has served %d requests", n)
				}
			})
		})
	}
}

// text is a body with characters that need quoting.
const text = `{"name":"Ann & <Bob>","list":[1,2,{"a":"é"}]}`

var workerApps = map[string]workerApp{
	"symfony": {
		packages: []string{"php-symfony-framework-bundle", "php-symfony-security-bundle", "php-symfony-twig-bundle"}, source: "symfony", writable: []string{"var", "var/sessions"},
		hello: "Hello you",
		runs: []clientRun{
			{get("/"), get("/?name=Ann+%3Cb%3E"), get("/")},
			{get("/session"), get("/session"), get("/session"), get("/json/1?x=y")},
			{get("/json/12?a[]=1&a[]=2"), get("/r99/7"), get("/missing"), get("/json/../json/5")},
			{send("POST", "/post", formType, "a=1&b%5Bc%5D=2&d=%C3%A9"), send("PUT", "/post", "application/json", text), send("POST", "/post", "text/plain", "plain"), send("POST", "/post", "", "")},
			{upload("/upload", "hé.txt", bytes.Repeat([]byte("0123456789"), 5000)), upload("/post", "b.txt", nil)},
			{get("/stream"), get("/boom"), get("/")},
			{get("/move"), get("/cookie?set=sweet"), get("/cookie?set=sour"), get("/cookie")},
			{get("/session"), get("/boom"), get("/session")},
			{get("/private"), get("/login"), login("ann", "wrong"), get("/login"), login("ann", "secret"), get("/private"), get("/admin"), get("/session"), get("/logout"), get("/private")},
			{get("/session"), login("bob", "hidden"), get("/session"), get("/private"), get("/admin"), get("/boom"), get("/private")},
			{get("/api"), as("ann", "secret", "/api"), as("ann", "wrong", "/api"), as("bob", "hidden", "/api"), get("/api"), get("/private"), as("bob", "hidden", "/private")},
		},
	},
	"laravel": {
		packages: []string{"php-laravel-framework"}, source: "laravel",
		writable: []string{"storage/app", "storage/framework/sessions", "storage/framework/views", "storage/logs", "bootstrap/cache"},
		hello:    "<title>you</title><h1>1</h1>",
		runs: []clientRun{
			{get("/"), get("/?name=Ann+%3Cb%3E"), get("/")},
			{get("/change"), get("/json/1"), get("/json/2?a[]=1")},
			{send("POST", "/post", formType, "a=1&b%5Bc%5D=2&d=%C3%A9"), send("PUT", "/post", "application/json", text), send("POST", "/post", "text/plain", "plain")},
			{upload("/upload", "h.txt", bytes.Repeat([]byte("0123456789"), 5000)), upload("/post", "b.txt", []byte("x"))},
			{get("/missing"), get("/boom"), get("/"), get("/")},
			{get("/stream"), get("/move")},
			{get("/cookie?set=sweet"), get("/cookie?set=sour"), get("/cookie?set=")},
		},
	},
	"slim": {
		packages: []string{"php-slim", "php-nyholm-psr7"}, source: "slim", hello: "Hello you",
		runs: []clientRun{
			{get("/"), get("/?name=Ann+%3Cb%3E")},
			{get("/echo/1?a=b"), get("/echo/2"), send("POST", "/echo/3?x=1", formType, "p=q&r[]=s"), send("PUT", "/echo/4", "text/plain", "plain")},
			{upload("/echo/5", "a.txt", []byte("hello"))},
			{get("/missing"), get("/boom"), send("DELETE", "/echo/6", "", "")},
		},
	},
}
