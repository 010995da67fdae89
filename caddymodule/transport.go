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

// Transport lets reverse_proxy run PHP scripts in a pool of php-cgi workers.
// reverse_proxy requires an upstream; its address is not used.
type Transport struct {
	Backend

	// timedFlush means that the handler that made this transport has a
	// flush_interval.
	timedFlush bool
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
//	    root <path>
//	    split <substrings...>
//	    env <key> <value>
//	    resolve_root_symlink [off]
//	    confine_symlinks [off]
//	    trust_forwarded [off]
//	    capture_stderr [off]
//	    dial_timeout <duration>
//	    read_timeout <duration>
//	    write_timeout <duration>
//	    request_buffers <size>
//	    request_buffering [off]
//	    body_timeout <duration>|off
//	    response_buffers <size>
//	    max_body <size>
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
		return parseString(d, &t.Pool)
	}
	parse, ok := backendOptions[name]
	if !ok {
		return unrecognized(d, inTransport)
	}
	return parse(d, &t.Backend)
}

// RoundTrip sends the request to PHP and returns its response. Errors have the
// HTTP status for the client.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	state := requestStateFrom(r)
	resp, err := t.roundTrip(r, state, nil)
	if err != nil && state.notRun && !state.byHandler {
		again := r.WithContext(r.Context()) // a copy: RoundTrip must not modify the request
		err = state.repeat(again, err, func() error {
			var err error
			resp, err = t.roundTrip(again, state, nil)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	if !resp.ended {
		// From an unknown length reverse_proxy concludes that it must flush each part
		// as soon as it arrives. It does not use the length for anything else.
		resp.HTTP.ContentLength = -1
		if t.timedFlush || resp.hasNoBody() {
			resp.HTTP.ContentLength = 0 // as php_fastcgi's transport
		}
	}
	resp.HTTP.Request = r
	resp.HTTP.Body = &responseBody{resp: resp}
	return resp.HTTP, nil
}

// responseBody is the body of an http.Response. Close releases the worker.
type responseBody struct {
	resp *response // nil after Close
	rest []byte    // taken from the read-ahead buffer and not read yet
	done bool      // a read returned io.EOF or another error
}

func (b *responseBody) Read(p []byte) (int, error) {
	resp := b.resp
	if resp == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	if len(resp.prefix) > 0 {
		n := copy(p, resp.prefix)
		resp.prefix = resp.prefix[n:]
		return n, nil
	}
	n, err := b.read(p)
	if errors.Is(err, io.EOF) && resp.TimedOut() {
		err = pool.ErrRequestTimeout
	}
	if err != nil {
		b.done = true
		if !errors.Is(err, io.EOF) {
			resp.fail(err)
		}
	}
	return n, err
}

// read reads from PHP, or from the read-ahead buffer.
func (b *responseBody) read(p []byte) (n int, err error) {
	resp := b.resp
	if resp.buffer == nil {
		return resp.body.Read(p)
	}
	if len(b.rest) == 0 {
		if b.rest, err = resp.buffer.Next(); err != nil {
			return 0, err
		}
	}
	n = copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *responseBody) Close() error {
	if b.resp != nil {
		if !b.done && b.resp.httpRequest.Context().Err() != nil {
			b.resp.fail(errClientClosed)
		}
		b.resp.close()
		b.resp = nil
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Transport)(nil)
	_ caddyfile.Unmarshaler = (*Transport)(nil)
	_ http.RoundTripper     = (*Transport)(nil)
)
