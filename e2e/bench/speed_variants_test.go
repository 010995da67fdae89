//go:build linux && bench

package bench

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

var speedVariants = flag.String("speed.variants", "now;auto threads=auto;one threads=1",
	"Caddys to compare, separated by semicolons: a name, then variables of the environment, threads=OPTION and @BINARY, separated by spaces")

// variant is one Caddy of TestSpeedVariants.
type variant struct {
	name, binary, threads string
	env                   []string
}

// parseVariants parses the flag speed.variants.
func parseVariants(text string) (all []variant) {
	for part := range strings.SplitSeq(text, ";") {
		v := variant{binary: harness.CaddyBinary}
		for word := range strings.FieldsSeq(part) {
			switch {
			case strings.HasPrefix(word, "@"):
				v.binary = word[1:]
			case strings.HasPrefix(word, "threads="):
				v.threads = word
			case strings.Contains(word, "="):
				v.env = append(v.env, word)
			default:
				v.name = strings.TrimSpace(v.name + " " + word)
			}
		}
		all = append(all, v)
	}
	return all
}

// variantsCaddyfile has a site as README.md shows it, and one with TLS and compression.
const variantsCaddyfile = speedCaddyfile + `
	https://127.0.0.1:{$PORT2} {
		tls internal
		encode
		root {$SITE}
		PHP
		file_server
	}
`

// TestSpeedVariants measures several Caddys with php_pool in turns, over HTTP and as
// the FastCGI listener behind nginx, with what does not depend on the machine.
func TestSpeedVariants(t *testing.T) {
	variants, site := parseVariants(*speedVariants), speedScripts(t)
	harness.ChownToPHP(t, site)
	only := regexp.MustCompile(*speedOnly)
	binary := harness.CaddyBinary
	defer func() { harness.CaddyBinary = binary }()
	var direct, behind, secure []*rival
	f100, err := os.Create(filepath.Join(site, "large.bin"))
	if err == nil {
		err = errors.Join(f100.Truncate(100<<20), f100.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := harness.TempDir(t)
	f := harness.StartFPM(t, dir, harness.Options{Workers: 16})
	fpm := nginxTo(t, site, filepath.Join(dir, "fpm.sock"), 16)
	fpm.t, fpm.name, fpm.kept = t, "nginx → php-fpm", []*harness.Supervised{f}
	behind = append(behind, fpm)
	for _, v := range variants {
		harness.CaddyBinary = v.binary
		threads := ""
		if v.threads != "" {
			threads = strings.Replace(v.threads, "=", " ", 1)
		}
		s := harness.Start(t, harness.SharedLean, variantsCaddyfile, harness.Options{Site: site, Env: v.env, Global: fmt.Sprintf(`
	php_pool {
		%s
		manager static
		workers %d
		fastcgi unix/{$DIR}/listener.sock|0666
	}
`, threads, speedWorkers)})
		r := rivalOf(t, s)
		r.name = v.name
		direct = append(direct, r)
		tls := *r
		tls.url = fmt.Sprintf("https://127.0.0.1:%d", s.Port+1)
		secure = append(secure, &tls)
		b := nginxTo(t, site, filepath.Join(s.Dir, "listener.sock"), 16)
		b.t, b.name, b.ours, b.kept = t, v.name, true, []*harness.Supervised{s.Supervised}
		behind = append(behind, b)
	}
	fmt.Print(machine())
	for _, w := range []struct {
		work
		rivals []*rival
	}{
		{work{name: "listener, hello, 16", path: "/hello.php", clients: 16, want: "hello\n", size: 6}, behind},
		{work{name: "listener, 100 KB page, 16", path: "/page.php", clients: 16, want: "<p>0", size: 100_000}, behind},
		{work{name: "listener, 100 KB upload, 16", path: "/upload.php", clients: 16, body: 100_000, want: "100000\n", size: 7}, behind},
		{work{name: "hello, 1", path: "/hello.php", clients: 1, want: "hello\n", size: 6}, direct},
		{work{name: "hello, 4", path: "/hello.php", clients: 4, want: "hello\n", size: 6}, direct},
		{work{name: "hello, 16", path: "/hello.php", clients: 16, want: "hello\n", size: 6}, direct},
		{work{name: "hello, 64", path: "/hello.php", clients: 64, want: "hello\n", size: 6}, direct},
		{work{name: "100 KB page, 16", path: "/page.php", clients: 16, want: "<p>0", size: 100_000}, direct},
		{work{name: "2 ms page, 16", path: "/work.php", clients: 16, want: "worked\n", size: 7}, direct},
		{work{name: "100 MB file, 2", path: "/large.bin", clients: 2, size: 100 << 20}, direct},
		{work{name: "TLS and encode, hello, 16", path: "/hello.php", clients: 16, want: "hello\n", size: 6}, secure},
		{work{name: "TLS and encode, 100 KB page, 16", path: "/page.php", clients: 16, want: "<p>0", size: 100_000, wrk: []string{"-H", "Accept-Encoding: gzip"}}, secure},
		{work{name: "TLS, 100 MB file, 2", path: "/large.bin", clients: 2, size: 100 << 20}, secure},
		{work{name: "1 MB upload, 16", path: "/upload.php", clients: 16, body: 1 << 20, want: "1048576\n", size: 8}, direct},
	} {
		if only.MatchString(w.name) {
			counts := inTurns(t, w.work, w.rivals)
			fmt.Print(speedTable(w.name, counts), usageTable(t, w.work, w.rivals, counts))
		}
	}
	for _, kind := range loadKinds {
		if only.MatchString(kind.name) {
			rivals := direct
			if kind.tls {
				rivals = secure
			}
			fmt.Print(loadTable(t, kind, rivals))
		}
	}
	if only.MatchString("idle") {
		fmt.Print(idleTable(direct))
	}
}
