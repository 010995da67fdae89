package listener

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/clients"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// Listener accepts the FastCGI requests of other web servers, as php-fpm does. It
// needs no HTTP server.
type Listener struct {
	// The address to listen on, as Caddy writes them: a Unix socket with its mode
	// (`unix//run/php/php8.2-fpm.sock|0660`), an abstract one (`unix/@php`), a host and
	// port (`127.0.0.1:9000`), or a socket that systemd has opened (`fd/3`). Without a
	// mode that of a Unix socket is 0660. Required.
	Listen string `json:"listen,omitempty"`

	// The pool whose workers run the scripts: a pool of the php_pool app. Default:
	// `default`.
	Pool string `json:"pool,omitempty"`

	// The user and group that a Unix socket belongs to: `www-data`, `www-data:adm` or
	// `:adm`, or numbers. A user without a group is that user's own group. Default: those of Caddy.
	Owner string `json:"owner,omitempty"`

	// The addresses that may connect by TCP, or IP ranges in CIDR notation;
	// `private_ranges` stands for those that Caddy calls so. Others are disconnected: who
	// can send a FastCGI request can run any script. Default: this machine only.
	Allow []string `json:"allow,omitempty"`

	// The extensions that a script may have, as `security.limit_extensions` of php-fpm.
	// The name of the file has to end with one of them; other files get 403. `*`
	// allows all files. Default: `.php .phar`, as php-fpm's.
	Extensions []string `json:"extensions,omitempty"`

	// The directory that scripts have to be in, after symlinks are resolved; others get
	// 403. An isolated pool needs it. Default: anywhere.
	Root string `json:"root,omitempty"`

	// The SCRIPT_NAME that responds with php-fpm's status page of the pool. Default:
	// none.
	Status string `json:"status,omitempty"`

	// The SCRIPT_NAME that responds with `ping_response` if the pool can serve requests,
	// else with 503. Default: none.
	Ping string `json:"ping,omitempty"`

	// The response to a ping. Default: `pong`.
	PingResponse string `json:"ping_response,omitempty"`

	// How many connections may be open at a time. If another one arrives, the one that
	// has been idle for the longest time is closed for it. Default: 1024.
	MaxConnections int `json:"max_connections,omitempty"`

	// How long a web server may send nothing in the middle of a request, or read
	// nothing of a response, before it is disconnected. A negative value is no limit.
	// Default: 60s.
	BodyTimeout caddy.Duration `json:"body_timeout,omitempty"`

	// Log what scripts write to PHP's error log together with the request, in addition
	// to the web server, which gets it always. Default: false.
	CaptureStderr bool `json:"capture_stderr,omitempty"`

	// Log each request, in the form of php-fpm's `access.format`, such as
	// `%R - %u %t "%m %r%Q%q" %s %{milli}d`, with the logger `php_pool.fastcgi.access`. The CPU
	// time and the memory (%C, %M) are not known. Default: none.
	AccessLog string `json:"access_log,omitempty"`

	// The paths whose requests AccessLog leaves out if they are successful and have
	// neither a query nor a body, as `access.suppress_path` of php-fpm. Default: none.
	AccessSuppress []string `json:"access_suppress,omitempty"`

	address caddy.NetworkAddress // Listen, without the mode of a Unix socket
	mode    uint32               // of the Unix socket
	owner   owner
	allow   []netip.Prefix
	pool    *live.Pool
	logger  *zap.Logger
	access  *accessLog // nil without AccessLog

	settings atomic.Pointer[phpSettings]
	logged   loggedSettings

	deniedLogged atomic.Int64 // see Allows; Unix time in nanoseconds
}

const (
	defaultMode           = 0o660 // as php-fpm's listen.mode
	defaultMaxConnections = 1024
	defaultBodyTimeout    = time.Minute
	anyExtension          = "*"
)

// UsePool returns the pool with that name, for scripts below root.
type UsePool func(name, root string) (*live.Pool, error)

// Provision checks the options and joins the pool. It opens no socket.
func (l *Listener) Provision(ctx caddy.Context, use UsePool) error {
	if err := l.provision(); err != nil {
		return err
	}
	l.logger = ctx.Logger().Named("fastcgi")
	if l.access != nil {
		l.access.logger = l.logger.Named("access")
	}
	var err error
	l.pool, err = use(l.Pool, l.Root)
	return err
}

func (l *Listener) provision() error {
	if err := l.expand(); err != nil {
		return err
	}
	if err := l.parseAddress(); err != nil {
		return err
	}
	if l.MaxConnections < 0 {
		return fmt.Errorf("max_connections %d: write a number of at least 1", l.MaxConnections)
	}
	if l.MaxConnections == 0 {
		l.MaxConnections = defaultMaxConnections
	}
	if l.BodyTimeout == 0 {
		l.BodyTimeout = caddy.Duration(defaultBodyTimeout)
	}
	if len(l.Extensions) == 0 {
		l.Extensions = []string{".php", ".phar"}
	}
	for _, path := range []string{l.Status, l.Ping} {
		if path != "" && path[0] != '/' {
			return fmt.Errorf("status and ping are paths: write /%s instead of %s", path, path)
		}
	}
	if l.Status != "" && l.Status == l.Ping {
		return fmt.Errorf("status and ping are both %s: change one", l.Ping)
	}
	if l.PingResponse == "" {
		l.PingResponse = "pong"
	}
	if l.AccessLog != "" {
		tokens, err := parseAccessFormat(l.AccessLog)
		if err != nil {
			return err
		}
		l.access = &accessLog{tokens: tokens, suppress: l.AccessSuppress}
	}
	return l.provisionRoot()
}

// expand replaces placeholders.
func (l *Listener) expand() error {
	values := map[string]*string{"fastcgi": &l.Listen, "owner": &l.Owner, "root": &l.Root, "status": &l.Status, "ping": &l.Ping, "ping_response": &l.PingResponse}
	for name, value := range values {
		var err error
		if *value, err = poolcfg.Expand(name, *value); err != nil {
			return err
		}
	}
	l.Allow = slices.Clone(l.Allow)
	for i := range l.Allow {
		var err error
		if l.Allow[i], err = poolcfg.Expand("allow", l.Allow[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *Listener) provisionRoot() error {
	if l.Root == "" {
		return nil
	}
	if !filepath.IsAbs(l.Root) {
		return fmt.Errorf("root %s is not absolute: write the whole path", l.Root)
	}
	l.Root = filepath.Clean(l.Root)
	return nil
}

// parseAddress parses Listen, Owner and Allow.
func (l *Listener) parseAddress() error {
	text, example := l.Listen, "unix//run/php-pool.sock, 127.0.0.1:9000 or fd/3"
	if text == "" {
		return errors.New("fastcgi needs an address: write " + example)
	}
	if strings.HasPrefix(text, "/") {
		return fmt.Errorf("fastcgi %s: a Unix socket is written as unix/%s", text, text)
	}
	withoutMode, mode, hasMode := strings.Cut(text, "|") // Caddy's default is 0200
	address, err := caddy.ParseNetworkAddress(withoutMode)
	if err != nil {
		return fmt.Errorf("fastcgi %s: %w: write an address such as %s", text, err, example)
	}
	unix, descriptor := address.IsUnixNetwork(), address.IsFdNetwork()
	switch {
	case unix && address.Network != "unix", descriptor && address.Network != "fd", strings.HasPrefix(address.Network, "udp"), strings.HasPrefix(address.Network, "ip"):
		return fmt.Errorf("fastcgi %s: FastCGI needs a stream socket: write an address such as %s", text, example)
	case !unix && !descriptor && (address.StartPort == 0 || address.PortRangeSize() != 1):
		return fmt.Errorf("fastcgi %s: write one port, as in 127.0.0.1:9000", text)
	case unix && address.Host == "":
		return fmt.Errorf("fastcgi %s: the path of the socket is missing: write %s", text, example)
	case hasMode && !unix:
		return fmt.Errorf("fastcgi %s: only a Unix socket has a mode: remove |%s", text, mode)
	}
	if l.mode, err = socketMode(mode, hasMode); err != nil {
		return fmt.Errorf("fastcgi %s: %w", text, err)
	}
	l.address = address
	if l.Owner != "" {
		if !unix || strings.HasPrefix(address.Host, "@") {
			return fmt.Errorf("owner %s: only the file of a Unix socket has an owner: remove it", l.Owner)
		}
		if l.owner, err = lookupOwner(l.Owner); err != nil {
			return err
		}
	}
	if unix && len(l.Allow) > 0 {
		return fmt.Errorf("allow %s: a Unix socket is protected by its owner and mode: remove allow", strings.Join(l.Allow, " "))
	}
	for _, text := range l.Allow {
		ranges, err := clients.ParseRange("allow", text)
		if err != nil {
			return err
		}
		l.allow = append(l.allow, ranges...)
	}
	return nil
}
