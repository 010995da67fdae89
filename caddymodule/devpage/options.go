package devpage

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/clients"
)

// Options turn the help for developers on.
type Options struct {
	// IP ranges in CIDR notation whose clients get it, in addition to localhost;
	// `private_ranges` stands for those that Caddy calls so, and `all` for every client.
	Allow []string `json:"allow,omitempty"`

	// Also help on sites with a public name, where visitors may be among the clients:
	// they would see PHP's messages and the application's source. Default: false, so
	// such a site is refused.
	Force bool `json:"force,omitempty"`

	clients clients.Set
	logger  *zap.Logger
	// start distinguishes the versions that this config counts from those of others.
	start string
	// stopping is closed when the config stops: Caddy waits for all requests.
	stopping  chan struct{}
	closeOnce sync.Once

	mu       sync.Mutex
	watchers map[string]*watcher // by directory
}

// Provision checks the options. The help ends when Caddy stops the config of ctx.
func (o *Options) Provision(ctx caddy.Context) (err error) {
	o.setUp(ctx.Logger())
	if o.clients, err = clients.Parse("dev", o.Allow); err != nil {
		return err
	}
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	return events.(*caddyevents.App).On("stopping", stopHandler{o})
}

func (o *Options) setUp(logger *zap.Logger) {
	o.logger, o.start = logger, rand.Text()
	o.stopping, o.watchers = make(chan struct{}), map[string]*watcher{}
}

// stopHandler handles Caddy's event "stopping", which precedes the stop of a config.
type stopHandler struct{ options *Options }

// Handle ends the requests that wait for a change.
func (h stopHandler) Handle(context.Context, caddy.Event) error {
	h.options.Cleanup()
	return nil
}

// Cleanup ends everything that waits for a change. It is idempotent.
func (o *Options) Cleanup() {
	if o.stopping != nil {
		o.closeOnce.Do(func() { close(o.stopping) })
	}
}

// Helps reports whether the request comes from a developer: the client is one of those,
// and has asked for a local name. A page of a stranger's site cannot do that, even if the
// name of that site has this machine's address (DNS rebinding).
func (o *Options) Helps(r *http.Request) bool {
	return (o.Force || IsLocalName(r.Host)) && o.clients.Contains(r)
}

// localDomains are top-level domains, and one below .arpa, that are never public: RFC
// 6761, 6762 and 8375, ICANN's .internal, and those that home routers use.
var localDomains = []string{
	"localhost", "test", "example", "invalid", "local", "home.arpa", "internal", "lan", "home", "localdomain",
}

// IsLocalName reports whether a host, perhaps with a port, is an IP address or a name that
// is never public.
func IsLocalName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if _, err := netip.ParseAddr(host); err == nil || host != "" && !strings.Contains(host, ".") {
		return true
	}
	return slices.ContainsFunc(localDomains, func(domain string) bool { return strings.HasSuffix(host, "."+domain) })
}

// CheckHost returns an error if a site with this name may not have the option.
func (o *Options) CheckHost(host string) error {
	if o.Force || IsLocalName(host) {
		return nil
	}
	return fmt.Errorf("dev shows PHP's messages and source, but %s is a public name: remove dev from its php_pool, or write dev force", host)
}
