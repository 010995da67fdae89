package caddymodule

import (
	"errors"
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/mevdschee/caddy-php-pool/pool"
)

func init() { caddy.RegisterModule(Transport{}) }

// Transport lets reverse_proxy run PHP scripts by a pool of php-cgi workers.
// The upstream's address is not used, but reverse_proxy wants one.
type Transport struct {
	Backend
}

// CaddyModule returns the Caddy module information.
func (Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.php_pool",
		New: func() caddy.Module { return new(Transport) },
	}
}

// Provision sets up the transport and joins its pool. It starts no worker.
func (t *Transport) Provision(ctx caddy.Context) error { return t.provision(ctx) }

// UnmarshalCaddyfile sets up the transport from Caddyfile tokens:
//
//	transport php_pool {
//	    pool <name>
//	    root, split, env, resolve_root_symlink, confine_symlinks,
//	    capture_stderr, dial_timeout, read_timeout, write_timeout,
//	    request_buffers, response_buffers, max_body: see the directive
//	}
func (t *Transport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the transport's name
	for d.NextBlock(0) {
		if err := t.subdirective(d.Val(), caddyfile.NewDispenser(d.NextSegment())); err != nil {
			return err
		}
	}
	return nil
}

func (t *Transport) subdirective(name string, d *caddyfile.Dispenser) error {
	d.Next()
	if name == "pool" {
		return oneString(d, &t.Pool)
	}
	read, ok := backendOptions[name]
	if !ok {
		return d.Errf("transport php_pool has no option %s: it knows pool, %s", name, known(backendOptions))
	}
	return read(d, &t.Backend)
}

// RoundTrip sends the request to PHP.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := t.roundTrip(r, requestStateFrom(r), true)
	if err != nil {
		return nil, err
	}
	resp := a.HTTP
	resp.Request = r
	resp.Body = &responseBody{reply: a}
	return resp, nil
}

// responseBody gives the worker back when the body is closed.
type responseBody struct {
	reply *response
	rest  []byte // of what was read ahead and taken from there
	ended bool   // all of it was read, or what there was
}

func (b *responseBody) Read(p []byte) (int, error) {
	a := b.reply
	if a == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	if len(a.prefix) > 0 {
		n := copy(p, a.prefix)
		a.prefix = a.prefix[n:]
		return n, nil
	}
	n, err := b.take(p)
	if errors.Is(err, io.EOF) && a.TimedOut() {
		err = pool.ErrRequestTimeout
	}
	if err != nil {
		b.ended = true
		if !errors.Is(err, io.EOF) {
			a.fail(err)
		}
	}
	return n, err
}

// take reads from PHP, or from what was read ahead.
func (b *responseBody) take(p []byte) (n int, err error) {
	a := b.reply
	if a.readAhead == nil {
		return a.body.Read(p)
	}
	if len(b.rest) == 0 {
		if b.rest, err = a.readAhead.Next(); err != nil {
			return 0, err
		}
	}
	n = copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *responseBody) Close() error {
	if b.reply != nil {
		if !b.ended && b.reply.httpRequest.Context().Err() != nil {
			b.reply.fail(errClientGone)
		}
		b.reply.close()
		b.reply = nil
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Transport)(nil)
	_ caddyfile.Unmarshaler = (*Transport)(nil)
	_ http.RoundTripper     = (*Transport)(nil)
)
