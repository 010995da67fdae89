//go:build linux

package parity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// side is one way to run PHP.
type side int

const (
	fastcgi side = iota // php_fastcgi with php-fpm: the reference
	lean                // php_pool
	proxied             // php_pool as the transport of reverse_proxy
)

var sides = []side{fastcgi, lean, proxied}

func (s side) String() string {
	return [...]string{"php_fastcgi", "php_pool", "php_pool as transport"}[s]
}

// name is a name for files.
func (s side) name() string { return [...]string{"fastcgi", "lean", "proxied"}[s] }

// rig is a Caddy that serves each site once for each side.
type rig struct {
	*harness.Server
	ports   map[side]int // of HTTP; the next one is that of HTTPS
	clients map[side]*clients
}

// The numbers of workers. See impossibleStatuses for php-fpm's.
const (
	workers    = 3
	fpmWorkers = 48
)

func startRig(t *testing.T, code map[string]string) *rig {
	t.Helper()
	site := filepath.Join(harness.TempDir(t), "site")
	makeSite(t, site, code)
	s := harness.Prepare(t, harness.FPM, harness.Options{
		Site: site, Workers: fpmWorkers,
		INI:    phpINI,
		Global: global(),
		Panic:  "reverseproxy.(*Handler).finalizeResponse", // see impossibleStatuses
	})
	r := &rig{Server: s, ports: map[side]int{}, clients: map[side]*clients{}}
	writeCertificate(t, s.Dir)
	var caddyfile strings.Builder
	for _, side := range sides {
		r.ports[side] = harness.FreePort(t)
		for _, name := range slices.Sorted(maps.Keys(sites)) {
			caddyfile.WriteString(siteBlock(side, r.ports[side], name))
		}
		r.clients[side] = newClients(t, r.ports[side])
	}
	if err := s.Run(caddyfile.String()); err != nil {
		t.Fatal(err)
	}
	return r
}

// phpINI are settings for both php-fpm and php_pool.
var phpINI = [][2]string{{"post_max_size", "1M"}, {"upload_max_filesize", "512K"}, {"html_errors", "0"}, {"display_errors", "1"}}

// global returns the global options. Each way to start php-cgi has a pool.
func global() string {
	var lines strings.Builder
	for _, kv := range phpINI {
		fmt.Fprintf(&lines, "ini %s %s\n", kv[0], kv[1])
	}
	return fmt.Sprintf(`
	servers {
		protocols h1 h2 h2c h3
	}
	php_pool {
		manager static
		workers %d
		quarantine off
		%s
		pool shared {
			spawn shared
		}
		pool single {
			spawn single
		}
	}
	`, workers, lines.String())
}

// siteBlock returns a site for one side, with and without TLS. The host is the name of
// the site.
func siteBlock(s side, port int, name string) string {
	text := expand(s, sites[name])
	snippet := name + "-" + s.name()
	return fmt.Sprintf(`
(%[1]s) {
	@probe path /probe-of-the-connection
	respond @probe 204
	%[2]s
}
http://%[3]s.test:%[4]d {
	import %[1]s
}
https://%[3]s.test:%[5]d {
	tls {$DIR}/cert.pem {$DIR}/key.pem
	import %[1]s
}
`, snippet, text, name, port, port+1)
}

// directiveLine is a line with the word PHP: indentation, matcher, brace.
var directiveLine = regexp.MustCompile(`(?m)^([ \t]*)PHP( +[^\s{]+)?( *\{)?$`)

// expand replaces the word PHP in a Caddyfile by the directive of a side.
func expand(s side, caddyfile string) string {
	name, address, lines := "php_pool", "", ""
	switch s {
	case lean:
		lines = "pool shared\n"
	case fastcgi:
		name, address, lines = "php_fastcgi", " unix/{$DIR}/fpm.sock", ""
	case proxied:
		// An option that only reverse_proxy has, and that changes nothing.
		lines = "pool single\nheader_down -X-Never-Sent\n"
	}
	return directiveLine.ReplaceAllStringFunc(caddyfile, func(line string) string {
		part := directiveLine.FindStringSubmatch(line)
		text := part[1] + name + part[2] + address + " {\n" + lines
		if part[3] == "" {
			text += "}"
		}
		return text
	})
}

// writeCertificate writes a certificate for all sites.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"*.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	harness.WriteFile(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}
