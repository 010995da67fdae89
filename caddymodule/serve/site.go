package serve

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/pflag"
)

// site describes what is served, and how.
type site struct {
	root       string // absolute
	domain     string
	listen     string // host:port; with a domain it may be empty
	anyPort    bool   // listen is a port that was free
	workers    []worker
	watch      []string
	accessLog  bool
	debug      bool
	compress   bool
	php        string
	production bool
	env        map[string]string // of --envfile
	open       bool
	onlyPrint  bool
	admin      string // the address of the admin endpoint; empty means Caddy's default

	anyAdminPort bool // admin is a port that was free

	reserved []net.PacketConn // of the ports that were free, until the process ends
}

type worker struct{ file, num string }

// watchDefault is the value of --watch without one, which the help shows.
const watchDefault = "default"

// fromFlags returns what to serve. It fails if an argument is wrong, or if the
// directory cannot be read.
func fromFlags(flags *pflag.FlagSet, args []string) (*site, error) {
	text := func(name string) string { value, _ := flags.GetString(name); return value }
	is := func(name string) bool { value, _ := flags.GetBool(name); return value }
	list := func(name string) []string { value, _ := flags.GetStringArray(name); return value }
	s := &site{
		domain: text("domain"), listen: text("listen"), php: text("php"),
		accessLog: is("access-log"), debug: is("debug"), compress: !is("no-compress"),
		production: is("production"), onlyPrint: is("print"), open: is("open"),
	}
	if s.open && s.onlyPrint {
		return nil, errors.New("--print serves nothing that --open could show: leave out one")
	}
	if is("mercure") {
		return nil, errors.New("--mercure: php_pool has no Mercure hub; build Caddy with github.com/dunglas/mercure/caddy, and add " +
			"mercure to the Caddyfile that --print prints")
	}
	envfiles, err := flags.GetStringSlice("envfile")
	if err != nil {
		return nil, err
	}
	if s.env, err = readEnvfiles(envfiles); err != nil {
		return nil, err
	}
	if s.root, err = chooseRoot(text("root"), args); err != nil {
		return nil, err
	}
	for _, value := range list("worker") {
		w, err := parseWorker(value)
		if err != nil {
			return nil, err
		}
		s.workers = append(s.workers, w)
	}
	for _, pattern := range list("watch") {
		if len(s.workers) == 0 {
			return nil, errors.New("--watch restarts worker scripts: add --worker, or leave it out, because without worker scripts " +
				"a saved file runs at the next request")
		}
		if pattern != watchDefault {
			s.watch = append(s.watch, pattern)
		} else if s.watch == nil {
			s.watch = []string{} // the default patterns
		}
	}
	if err := s.chooseAddress(); err != nil {
		return nil, err
	}
	return s, nil
}

// publicDirs are the directories for public files of common applications: of Laravel,
// Symfony and CodeIgniter; Drupal and Craft; Magento; CakePHP; others.
var publicDirs = []string{"public", "web", "pub", "webroot", "htdocs"}

// chooseRoot returns the directory to serve: root as it is, else the public directory
// in the argument or the current directory.
func chooseRoot(root string, args []string) (string, error) {
	if root != "" && len(args) > 0 {
		return "", fmt.Errorf("both --root %s and the directory %s are given: leave out one", root, args[0])
	}
	dir, asItIs := root, root != ""
	if !asItIs && len(args) > 0 {
		dir = args[0]
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s is not a directory: name the directory with the PHP scripts", dir)
	}
	if asItIs {
		return dir, nil
	}
	for _, name := range publicDirs {
		if info, err := os.Stat(filepath.Join(dir, name, "index.php")); err == nil && info.Mode().IsRegular() {
			return filepath.Join(dir, name), nil
		}
	}
	return dir, nil
}

// parseWorker parses the value of --worker: a file, which is relative to the current
// directory as in FrankenPHP, and perhaps a number.
func parseWorker(value string) (worker, error) {
	w := worker{file: value}
	if i := strings.LastIndexByte(value, ','); i >= 0 {
		w.file, w.num = value[:i], value[i+1:]
		if n, err := strconv.Atoi(w.num); err != nil || n < 1 {
			return w, fmt.Errorf("--worker %s: %q is not a number of workers: write <file>,<num>", value, w.num)
		}
	}
	file, err := filepath.Abs(w.file)
	if err != nil {
		return w, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return w, fmt.Errorf("--worker: %w", err)
	}
	if !info.Mode().IsRegular() {
		return w, fmt.Errorf("--worker: %s is not a file", file)
	}
	w.file = file
	return w, nil
}

// firstPort is the port for development, if it is free.
const firstPort = 8080

// chooseAddress sets listen, unless a domain alone decides.
func (s *site) chooseAddress() error {
	if s.listen != "" {
		_, port, err := net.SplitHostPort(s.listen)
		if n, atoiErr := strconv.Atoi(port); err != nil || atoiErr != nil || n < 1 || n > 65535 {
			return fmt.Errorf("--listen %s is not an address: write :8000 or 127.0.0.1:8000", s.listen)
		}
		return nil
	}
	if s.domain != "" {
		return nil
	}
	if s.production {
		s.listen = ":80"
		return nil
	}
	return s.chooseFreePort()
}

// chooseFreePort sets listen to the first port that is free, for this machine only.
func (s *site) chooseFreePort() (err error) {
	s.anyPort = true
	if s.onlyPrint {
		s.listen = net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort))
		return nil
	}
	s.listen, err = s.freePort("127.0.0.1", firstPort)
	return err
}

// freePort returns host with the first port that is free, and tries 100. Caddy opens ports
// with SO_REUSEPORT, except on Windows, so two that begin at the same time can both listen on
// one; a UDP port with the same number, which a site without TLS does not use, keeps others away.
func (s *site) freePort(host string, first int) (string, error) {
	for port := first; port < first+100; port++ {
		address := net.JoinHostPort(host, strconv.Itoa(port))
		reserved, err := net.ListenPacket("udp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if isFree(address) {
			s.reserved = append(s.reserved, reserved)
			return address, nil
		}
		if err == nil {
			reserved.Close()
		}
	}
	return "", fmt.Errorf("the ports %d to %d of %s are in use: stop what uses them", first, first+99, host)
}

func isFree(address string) bool {
	ln, err := net.Listen("tcp", address)
	if err == nil {
		ln.Close()
	}
	return err == nil
}

// url returns the address for the browser.
func (s *site) url() string {
	host, port, _ := net.SplitHostPort(s.listen) // it has been checked, or is empty
	if s.domain != "" {
		if port == "" || port == "443" {
			return "https://" + s.domain
		}
		return "https://" + net.JoinHostPort(s.domain, port)
	}
	if ip := net.ParseIP(host); host == "" || ip.IsLoopback() || ip.IsUnspecified() {
		host = "localhost"
	}
	if port == "80" {
		return "http://" + host
	}
	return "http://" + net.JoinHostPort(host, port)
}

// summary tells what is served where.
func (s *site) summary() string {
	text := fmt.Sprintf("Serving %s at %s", s.root, s.url())
	text += "\nSee the workers with: caddy php-pool top"
	if s.admin != "" && s.admin != caddy.DefaultAdminListen {
		text += " --address " + s.admin
	}
	return text
}
