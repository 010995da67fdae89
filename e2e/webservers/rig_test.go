//go:build linux

package webservers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// backend is a FastCGI server for the web servers.
type backend struct {
	name string
	unix string // the path of its socket
	tcp  string // its other address
}

// rig is php-fpm and a Caddy with the listener, with the web servers in front of them.
type rig struct {
	*harness.Server // the Caddy
	fpm, listener   backend
	ports           map[port]int
	used            []front
	logs            map[string]string // the error log of a web server, by its program
}

// port is a use of a TCP port.
type port struct{ front, backend string }

// phpINI are settings for both backends.
var phpINI = [][2]string{{"html_errors", "0"}, {"display_errors", "1"}, {"upload_max_filesize", "4M"}, {"post_max_size", "4M"}}

// The numbers of workers. Each kept connection occupies one of php-fpm's. In the tests
// of each front a script may go on while another one is requested.
const (
	workers    = 16
	fpmWorkers = 32
)

// setup holds what a test starts.
type setup struct {
	site     string
	fronts   []front
	fpm      bool   // php-fpm, to compare with
	pool     string // options of the pool; default: workers
	listener string // options of the listener
}

// startRig starts the backends, and the web servers that have one of these fronts.
func startRig(t *testing.T, o setup) *rig {
	t.Helper()
	if o.pool == "" {
		o.pool = fmt.Sprint("workers ", workers)
	}
	b, opts := harness.SharedLean, harness.Options{Site: o.site, Global: listenerOptions(o.pool, o.listener)}
	tcp := harness.FreePort(t)
	if o.fpm {
		b = harness.FPM
		opts.Workers, opts.INI, opts.FPMConf = fpmWorkers, phpINI, fpmTCP(tcp)
	}
	s := harness.Prepare(t, b, opts)
	r := &rig{
		Server: s, ports: map[port]int{}, used: o.fronts, logs: map[string]string{},
		fpm:      backend{"php-fpm", filepath.Join(s.Dir, "fpm.sock"), fmt.Sprintf("127.0.0.1:%d", tcp)},
		listener: backend{"listener", filepath.Join(s.Dir, "listener.sock"), fmt.Sprintf("127.0.0.1:%d", s.Port+1)},
	}
	sections := map[string][]string{caddy: {keptSite}}
	for _, f := range o.fronts {
		for _, b := range r.backends() {
			if b.name == r.fpm.name && !o.fpm {
				continue
			}
			n := harness.FreePort(t)
			r.ports[port{f.name, b.name}] = n
			sections[f.program] = append(sections[f.program], f.section(r, b, n))
		}
	}
	if err := s.Run(strings.Join(sections[caddy], "\n")); err != nil {
		t.Fatal(err)
	}
	for program, start := range programs {
		if len(sections[program]) > 0 {
			start(t, r, sections[program])
		}
	}
	return r
}

// keptSite is a site of Caddy that the harness uses to notice the end of a reload.
const keptSite = "http://127.0.0.1:{$PORT} {\n\trespond ok\n}\n"

// fpmTCP returns a second pool of php-fpm, at a port.
func fpmTCP(port int) string {
	conf := fmt.Sprintf("[tcp]\nlisten = 127.0.0.1:%d\npm = static\npm.max_children = %d\nping.path = /fpm/ping\nping.response = all is well\n", port, fpmWorkers)
	if os.Getuid() == 0 {
		conf += "user = www-data\ngroup = www-data\n"
	}
	for _, kv := range phpINI {
		conf += fmt.Sprintf("php_value[%s] = %q\n", kv[0], kv[1])
	}
	return conf
}

// listenerOptions returns the global options with a pool and its two listeners. The web
// servers are of another user than Caddy: everyone may connect.
func listenerOptions(pool, listener string) string {
	var ini strings.Builder
	for _, kv := range phpINI {
		fmt.Fprintf(&ini, "\t\t\tini %s %s\n", kv[0], kv[1])
	}
	return fmt.Sprintf(`	php_pool {
		quarantine off
		pool www {
			manager static
			%s
%s		}
		fastcgi unix/{$DIR}/listener.sock|0666 {
			pool www
			%[3]s
		}
		fastcgi 127.0.0.1:{$PORT2} {
			pool www
			%[3]s
		}
	}
`, pool, ini.String(), listener)
}

func (r *rig) backends() []backend { return []backend{r.fpm, r.listener} }

// port returns the port of a front for a backend.
func (r *rig) port(f front, b backend) int { return r.ports[port{f.name, b.name}] }

// portsOf returns all ports of a program.
func (r *rig) portsOf(program string) (list []int) {
	for _, f := range r.used {
		for _, b := range r.backends() {
			if n := r.port(f, b); f.program == program && n != 0 {
				list = append(list, n)
			}
		}
	}
	return list
}
