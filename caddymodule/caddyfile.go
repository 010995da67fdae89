package caddymodule

import (
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("php_pool", parseDirective)
	// Where php_fastcgi stands: behind reverse_proxy, which may have taken
	// /api/*, and before file_server.
	httpcaddyfile.RegisterDirectiveOrder("php_pool", httpcaddyfile.Before, "php_fastcgi")
	httpcaddyfile.RegisterGlobalOption("php_pool", parseGlobal)
}

// directive gathers what the block of a php_pool directive says.
type directive struct {
	helper  httpcaddyfile.Helper
	handler *Handler
	own     poolcfg.Options
	named   string // by `name`
	seen    map[string]bool
	proxy   []caddyfile.Token // what is reverse_proxy's
}

// parseDirective sets up the handler from Caddyfile tokens:
//
//	php_pool [<matcher>] {
//	    pool <name>                # one of the global options, or, instead:
//	    name <name>
//	    <any pool option>          # see poolOptions
//
//	    # as in php_fastcgi
//	    root <path>
//	    split <substrings...>
//	    index <filename>|off
//	    try_files <files...>
//	    env <key> <value>
//	    resolve_root_symlink [off]
//	    confine_symlinks [off]     # not in php_fastcgi
//	    hide_sensitive [off]       # not in php_fastcgi
//	    capture_stderr [off]
//	    dial_timeout <duration>
//	    read_timeout <duration>
//	    write_timeout <duration>
//	    request_buffers <size>
//	    response_buffers <size>    # without the delay that it has there
//	    max_body <size>
//
//	    # as in reverse_proxy
//	    flush_interval, header_up, header_down,
//	    handle_response, replace_status, trusted_proxies, method, rewrite,
//	    verbose_logs, stream_timeout, stream_close_delay, stream_buffer_size,
//	    proxy_status_name
//	}
func parseDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the directive's name
	p := &directive{helper: h, handler: new(Handler), seen: map[string]bool{}}
	if args := h.RemainingArgs(); len(args) > 0 {
		if !strings.ContainsAny(args[0], ":/") {
			return nil, h.Errf("php_pool takes no name (%s): write `pool %s` in its block, for a pool of the global options", args[0], args[0])
		}
		return nil, h.Errf("php_pool takes no address (%s): it starts php-cgi by itself; take it out", strings.Join(args, " "))
	}
	name := h.Token()
	for h.NextBlock(0) {
		if err := p.subdirective(h.Val(), h.NextSegment()); err != nil {
			return nil, err
		}
	}
	if err := p.finishPool(); err != nil {
		return nil, err
	}
	return p.handler, p.finishProxy(name)
}

// subdirective reads one line of the block, with the block of its own that it
// may have.
func (p *directive) subdirective(name string, tokens caddyfile.Segment) error {
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	if why, ok := unsupported[name]; ok {
		return d.Errf("%s makes no sense in php_pool: %s", name, why)
	}
	if proxyOptions[name] || strings.HasPrefix(name, "@") {
		p.proxy = append(p.proxy, tokens...)
		return nil
	}
	if p.seen[name] && !repeatable[name] {
		return d.Errf("%s is given twice: keep one", name)
	}
	p.seen[name] = true
	if read := poolOption(name); read != nil {
		return read(d, &p.own)
	}
	if read, ok := backendOptions[name]; ok {
		return read(d, &p.handler.Backend)
	}
	switch name {
	case "index":
		return oneString(d, &p.handler.Index)
	case "try_files":
		return list(d, &p.handler.TryFiles)
	case "hide_sensitive":
		return onOffPtr(d, &p.handler.HideSensitive)
	case "pool":
		return oneString(d, &p.handler.Pool)
	case "name":
		return oneString(d, &p.named)
	}
	return d.Errf("php_pool has no option %s: it knows hide_sensitive, index, name, pool, try_files, %s, %s, %s", name,
		known(backendOptions), known(poolOptions), known(proxyOptions))
}

// repeatable options add up.
var repeatable = map[string]bool{"ini": true, "admin_ini": true, "process_env": true, "env": true}

// backendOptions are the subdirectives that concern the way to PHP: those of
// the directive, and of `transport php_pool` in reverse_proxy.
var backendOptions = map[string]func(d *caddyfile.Dispenser, b *Backend) error{
	"root":                 func(d *caddyfile.Dispenser, b *Backend) error { return oneString(d, &b.Root) },
	"split":                func(d *caddyfile.Dispenser, b *Backend) error { return list(d, &b.SplitPath) },
	"env":                  envOption,
	"resolve_root_symlink": func(d *caddyfile.Dispenser, b *Backend) error { return onOffPtr(d, &b.ResolveRootSymlink) },
	"confine_symlinks":     func(d *caddyfile.Dispenser, b *Backend) error { return onOff(d, &b.ConfineSymlinks) },
	"capture_stderr":       func(d *caddyfile.Dispenser, b *Backend) error { return onOffPtr(d, &b.CaptureStderr) },
	"dial_timeout":         func(d *caddyfile.Dispenser, b *Backend) error { return oneDuration(d, &b.DialTimeout) },
	"read_timeout":         func(d *caddyfile.Dispenser, b *Backend) error { return oneDuration(d, &b.ReadTimeout) },
	"write_timeout":        func(d *caddyfile.Dispenser, b *Backend) error { return oneDuration(d, &b.WriteTimeout) },
	"request_buffers":      func(d *caddyfile.Dispenser, b *Backend) error { return sizeOr(d, &b.RequestBuffers, "unlimited") },
	"response_buffers":     func(d *caddyfile.Dispenser, b *Backend) error { return sizeOr(d, &b.ResponseBuffers, "unlimited") },
	"max_body":             func(d *caddyfile.Dispenser, b *Backend) error { return oneSize(d, &b.MaxBody) },
}

// proxyOptions are reverse_proxy's own: with one of them the answer goes
// through it.
var proxyOptions = map[string]bool{
	"flush_interval": true, "header_up": true, "header_down": true,
	"handle_response": true, "replace_status": true, "trusted_proxies": true, "method": true,
	"rewrite": true, "verbose_logs": true, "stream_timeout": true, "stream_close_delay": true,
	"stream_buffer_size": true, "proxy_status_name": true,
}

func list(d *caddyfile.Dispenser, to *[]string) error {
	name := d.Val()
	if *to = d.RemainingArgs(); len(*to) == 0 {
		return d.Errf("%s takes at least one value: write %s <values...>", name, name)
	}
	return nil
}

func envOption(d *caddyfile.Dispenser, b *Backend) error {
	if err := pairs(d, &b.Env); err != nil {
		return err
	}
	for name := range b.Env {
		if err := cgi.CheckEnv(name); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// finishPool decides which pool the handler uses.
func (p *directive) finishPool() error {
	h := p.handler
	switch {
	case h.Pool != "" && (p.named != "" || !p.own.IsZero()):
		return p.helper.Errf("pool %s is defined in the global options, so its options belong there: "+
			"take the pool options out here, or take out pool and write name", h.Pool)
	case h.Pool != "":
		return nil
	case p.named == "" && p.own.IsZero():
		return nil // the default pool
	}
	h.PoolOptions = &p.own
	if h.Pool = p.named; h.Pool == "" {
		root, _ := p.helper.BlockState["root"].(string)
		h.Pool = nameFromRoot(h.Root, root)
	}
	return nil
}

// nameFromRoot names a pool after the directory of its site; Caddy does not
// tell a directive for which host it stands.
func nameFromRoot(roots ...string) string {
	for _, root := range roots {
		name := strings.Trim(strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_':
				return r
			}
			return '-'
		}, root), "-")
		if name != "" {
			return name
		}
	}
	return "site"
}

// finishProxy hands reverse_proxy's options to its own parser.
func (p *directive) finishProxy(name caddyfile.Token) error {
	if len(p.proxy) == 0 {
		return nil
	}
	open, end := name, p.proxy[len(p.proxy)-1]
	open.Text = "{"
	end.Text, end.Line = "}", end.Line+1
	tokens := append([]caddyfile.Token{name, open}, p.proxy...)
	proxy := new(reverseproxy.Handler)
	if err := proxy.UnmarshalCaddyfile(caddyfile.NewDispenser(append(tokens, end))); err != nil {
		return err
	}
	if err := proxy.FinalizeUnmarshalCaddyfile(p.helper); err != nil {
		return err
	}
	var err error
	p.handler.ProxyRaw, err = json.Marshal(proxy)
	return err
}

// parseGlobal reads the global option:
//
//	php_pool {
//	    <any pool option>          # defaults
//	    pool <name> {
//	        <any pool option>
//	    }
//	}
func parseGlobal(d *caddyfile.Dispenser, _ any) (any, error) {
	app := new(App)
	defaults, seen := new(poolcfg.Options), map[string]bool{}
	d.Next() // the option's name
	if args := d.RemainingArgs(); len(args) > 0 {
		return nil, d.Errf("php_pool takes no value here (%s): write a block", strings.Join(args, " "))
	}
	for d.NextBlock(0) {
		if d.Val() == "pool" {
			if err := app.parsePool(caddyfile.NewDispenser(d.NextSegment())); err != nil {
				return nil, err
			}
			continue
		}
		if err := readOption(d.Val(), d.NextSegment(), defaults, seen); err != nil {
			return nil, err
		}
	}
	if !defaults.IsZero() {
		app.Defaults = defaults
	}
	return httpcaddyfile.App{Name: "php_pool", Value: caddyconfig.JSON(app, nil)}, nil
}

// parsePool reads `pool <name> { ... }`.
func (a *App) parsePool(d *caddyfile.Dispenser) error {
	d.Next() // "pool"
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("pool takes one name: write pool <name> { ... }")
	}
	name, options, seen := args[0], new(poolcfg.Options), map[string]bool{}
	if a.Pools[name] != nil {
		return d.Errf("pool %s is defined twice: give one of them another name", name)
	}
	for d.NextBlock(0) {
		if err := readOption(d.Val(), d.NextSegment(), options, seen); err != nil {
			return err
		}
	}
	if a.Pools == nil {
		a.Pools = map[string]*poolcfg.Options{}
	}
	a.Pools[name] = options
	return nil
}

// readOption reads one pool option in the global options.
func readOption(name string, tokens caddyfile.Segment, o *poolcfg.Options, seen map[string]bool) error {
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	read := poolOption(name)
	if read == nil {
		return d.Errf("a pool has no option %s: it knows %s", name, known(poolOptions))
	}
	if seen[name] && !repeatable[name] {
		return d.Errf("%s is given twice: keep one", name)
	}
	seen[name] = true
	return read(d, o)
}
