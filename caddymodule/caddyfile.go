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
	// The place of php_fastcgi: after reverse_proxy, which may handle /api/*, and
	// before file_server.
	httpcaddyfile.RegisterDirectiveOrder("php_pool", httpcaddyfile.Before, "php_fastcgi")
	httpcaddyfile.RegisterGlobalOption("php_pool", parseGlobalOption)
}

// directive is a php_pool directive while it is parsed.
type directive struct {
	helper      httpcaddyfile.Helper
	handler     *Handler
	poolOptions poolcfg.Options
	poolName    string            // value of `name`
	seen        map[string]bool   // options so far
	proxyTokens []caddyfile.Token // the options of reverse_proxy
}

// parseDirective sets up the handler from Caddyfile tokens:
//
//	php_pool [<matcher>] {
//	    pool <name>                # a pool of the global options, or instead:
//	    name <name>                # the name of the pool defined here
//	    <any pool option>          # see parseGlobalOption
//
//	    worker <file> [<num>]      # keeps an application in memory; see parseWorker
//
//	    # as in php_fastcgi
//	    root <path>
//	    split <substrings...>
//	    index <filename>|off
//	    try_files <files...>
//	    env <key> <value>
//	    resolve_root_symlink [off]
//	    confine_symlinks [off]     # not in php_fastcgi
//	    trust_forwarded [off]      # not in php_fastcgi
//	    hide_sensitive [off]       # not in php_fastcgi
//	    dev [force] [<ranges...>]  # not in php_fastcgi
//	    capture_stderr [off]
//	    dial_timeout <duration>
//	    read_timeout <duration>
//	    write_timeout <duration>
//	    request_buffers <size>
//	    request_buffering [off]    # not in php_fastcgi
//	    body_timeout <duration>    # not in php_fastcgi
//	    response_buffers <size>    # unlike there, it delays nothing
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
			return nil, h.Errf("php_pool does not take a pool name (%s): write `pool %s` in its block to use a pool of the global options", args[0], args[0])
		}
		return nil, h.Errf("php_pool does not take an address (%s), because it starts php-cgi itself: remove it", strings.Join(args, " "))
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
	if err := p.finishWorkers(); err != nil {
		return nil, err
	}
	return p.handler, p.finishProxy(name)
}

// subdirective parses one option of the block. tokens are the option with its
// arguments and its nested block.
func (p *directive) subdirective(name string, tokens caddyfile.Segment) error {
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	if proxyOptions[name] || strings.HasPrefix(name, "@") {
		p.proxyTokens = append(p.proxyTokens, tokens...)
		return nil
	}
	if p.seen[name] && !repeatable[name] {
		return d.Errf("duplicate option %q: remove one", name)
	}
	p.seen[name] = true
	if parse := poolOptionParser(name); parse != nil {
		return parse(d, &p.poolOptions)
	}
	if parse, ok := backendOptions[name]; ok {
		return parse(d, &p.handler.Backend)
	}
	switch name {
	case "index":
		return parseString(d, &p.handler.Index)
	case "try_files":
		return parseStrings(d, &p.handler.TryFiles)
	case "hide_sensitive":
		return parseSwitchPtr(d, &p.handler.HideSensitive)
	case "dev":
		return parseDev(d, &p.handler.Dev)
	case "pool":
		return parseString(d, &p.handler.Pool)
	case "name":
		return parseString(d, &p.poolName)
	}
	return unrecognized(d, inSite)
}

// repeatable are the options that add a value each time.
var repeatable = map[string]bool{"ini": true, "admin_ini": true, "process_env": true, "env": true, "worker": true}

// backendOptions are the options that the directive shares with `transport
// php_pool` in reverse_proxy. They set the fields of Backend.
var backendOptions = map[string]func(d *caddyfile.Dispenser, b *Backend) error{
	"root":                 func(d *caddyfile.Dispenser, b *Backend) error { return parseString(d, &b.Root) },
	"split":                func(d *caddyfile.Dispenser, b *Backend) error { return parseStrings(d, &b.SplitPath) },
	"env":                  parseEnv,
	"resolve_root_symlink": func(d *caddyfile.Dispenser, b *Backend) error { return parseSwitchPtr(d, &b.ResolveRootSymlink) },
	"confine_symlinks":     func(d *caddyfile.Dispenser, b *Backend) error { return parseSwitch(d, &b.ConfineSymlinks) },
	"trust_forwarded":      func(d *caddyfile.Dispenser, b *Backend) error { return parseSwitch(d, &b.TrustForwarded) },
	"capture_stderr":       func(d *caddyfile.Dispenser, b *Backend) error { return parseSwitchPtr(d, &b.CaptureStderr) },
	"dial_timeout":         func(d *caddyfile.Dispenser, b *Backend) error { return parseDuration(d, &b.DialTimeout) },
	"read_timeout":         func(d *caddyfile.Dispenser, b *Backend) error { return parseDuration(d, &b.ReadTimeout) },
	"write_timeout":        func(d *caddyfile.Dispenser, b *Backend) error { return parseDuration(d, &b.WriteTimeout) },
	"request_buffers":      func(d *caddyfile.Dispenser, b *Backend) error { return parseSizeOr(d, &b.RequestBuffers, "unlimited") },
	"early_hints":          func(d *caddyfile.Dispenser, b *Backend) error { return parseString(d, &b.EarlyHints) },
	"response_buffers":     func(d *caddyfile.Dispenser, b *Backend) error { return parseSizeOr(d, &b.ResponseBuffers, "unlimited") },
	"request_buffering":    func(d *caddyfile.Dispenser, b *Backend) error { return parseSwitchPtr(d, &b.RequestBuffering) },
	"body_timeout":         func(d *caddyfile.Dispenser, b *Backend) error { return parseDurationOrOff(d, &b.BodyTimeout) },
	"max_body":             func(d *caddyfile.Dispenser, b *Backend) error { return parseSize(d, &b.MaxBody) },
	"worker":               parseWorkerOf,
}

// proxyOptions are options of reverse_proxy. With one of them, requests go through
// a reverse_proxy handler, which parses them.
var proxyOptions = map[string]bool{
	"flush_interval": true, "header_up": true, "header_down": true,
	"handle_response": true, "replace_status": true, "trusted_proxies": true, "method": true,
	"rewrite": true, "verbose_logs": true, "stream_timeout": true, "stream_close_delay": true,
	"stream_buffer_size": true, "proxy_status_name": true,
}

// parseStrings parses `<option> <values...>`.
func parseStrings(d *caddyfile.Dispenser, dst *[]string) error {
	name := d.Val()
	if *dst = d.RemainingArgs(); len(*dst) == 0 {
		return d.Errf("%s needs at least one value: write %s <values...>", name, name)
	}
	return nil
}

// parseEnv parses `env <name> <value>`, or a block of such lines.
func parseEnv(d *caddyfile.Dispenser, b *Backend) error {
	if err := parsePairs(d, &b.Env); err != nil {
		return err
	}
	for name := range b.Env {
		if err := cgi.CheckEnv(name); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// parseWorkerOf parses a worker of a site.
func parseWorkerOf(d *caddyfile.Dispenser, b *Backend) error {
	w, err := parseWorker(d)
	if err != nil {
		return err
	}
	return addWorker(d, &b.Workers, w)
}

// finishPool sets the handler's pool, and its options if the block has any.
func (p *directive) finishPool() error {
	h := p.handler
	switch {
	case h.Pool != "" && (p.poolName != "" || !p.poolOptions.IsZero()):
		return p.helper.Errf("pool %s is defined in the global options, so its options belong there: "+
			"move the pool options there, or write name instead of pool", h.Pool)
	case h.Pool != "":
		return nil
	case p.poolName == "" && p.poolOptions.IsZero():
		return nil // the default pool
	}
	h.PoolOptions = &p.poolOptions
	if h.Pool = p.poolName; h.Pool == "" {
		root, _ := p.helper.BlockState["root"].(string)
		h.Pool = nameFromRoot(h.Root, root)
	}
	return nil
}

// finishProxy lets reverse_proxy parse its options, as a block that follows the
// directive's name.
func (p *directive) finishProxy(name caddyfile.Token) error {
	if len(p.proxyTokens) == 0 {
		return nil
	}
	open, end := name, p.proxyTokens[len(p.proxyTokens)-1]
	open.Text = "{"
	end.Text, end.Line = "}", end.Line+1
	tokens := append([]caddyfile.Token{name, open}, p.proxyTokens...)
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

// parseGlobalOption sets up the app from Caddyfile tokens:
//
//	php_pool {
//	    max_workers_total <n>      # of all pools together
//	    threads auto|<n>|off       # of Caddy itself
//	    <any pool option>          # defaults for all pools
//	    worker <file> [<num>]      # for all sites; see parseWorker
//	    pool <name> {
//	        <any pool option>
//	    }
//	    fastcgi <address> {        # for other web servers, instead of php-fpm
//	        pool <name>
//	        owner <user>[:<group>]
//	        allow <cidr>...
//	        extensions <ext>...
//	        root <path>
//	        status <path>
//	        ping <path> [<response>]
//	        max_connections <n>
//	        body_timeout <duration>|off
//	        capture_stderr [off]
//	    }
//	}
//
// The pool options set the fields of poolcfg.Options:
//
//	binary <name|path|version>
//	ini_file <path>
//	ini_scan_dir <dir>
//	ini <name> <value>             # or a block of names and values
//	admin_ini <name> <value>       # or a block
//	isolate [off]
//	process_env <name> <value>     # or a block
//	process_env inherit [off]      # Caddy's environment
//	process_env [!]<pattern>       # such as WORDPRESS_*
//	user <user>[:<group>]
//	umask <mode>
//	nice <n>
//	no_new_privs [off]
//	confine [off]
//	rlimit_<resource> <n>|unlimited
//	oom_score_adj <n>
//	watch [off]
//	warmup <uris...>
//	warmup_strict [off]
//	spawn shared|single
//
//	manager static|dynamic|ondemand
//	workers <n>
//	max_workers <n>|auto
//	min_workers <n>
//	start_workers <n>
//	max_spare <n>
//	idle_timeout <duration>
//	master_idle_timeout <duration>
//
//	max_requests <n> [<jitter>]|off
//	max_age <duration>|off
//	max_memory <size>|off
//	health_interval <duration>|off
//	quarantine <crashes> <window> <duration>|off
//
//	start_timeout <duration>
//	request_timeout <duration>|off
//	queue_timeout <duration>
//	stop_timeout <duration>
//	slow_request <duration>|off
//	backtrace_depth <n>
//	max_queue <n>
//	max_per_client <n>|off
//	spool_dir <path>
//	spool_max <size>|off
func parseGlobalOption(d *caddyfile.Dispenser, _ any) (any, error) {
	app := new(App)
	defaults, seen := new(poolcfg.Options), map[string]bool{}
	d.Next() // the option's name
	if args := d.RemainingArgs(); len(args) > 0 {
		return nil, d.Errf("php_pool does not take a value in the global options (%s): write a block", strings.Join(args, " "))
	}
	for d.NextBlock(0) {
		var err error
		switch d.Val() {
		case "pool":
			err = app.parsePool(caddyfile.NewDispenser(d.NextSegment()))
		case "fastcgi":
			err = app.parseFastCGI(caddyfile.NewDispenser(d.NextSegment()))
		case totalOption:
			err = app.parseTotal(caddyfile.NewDispenser(d.NextSegment()))
		case threadsOption:
			err = app.parseThreads(caddyfile.NewDispenser(d.NextSegment()))
		case "worker":
			err = app.parseWorker(caddyfile.NewDispenser(d.NextSegment()))
		default:
			err = parsePoolOption(d.Val(), d.NextSegment(), defaults, seen)
		}
		if err != nil {
			return nil, err
		}
	}
	if !defaults.IsZero() {
		app.Defaults = defaults
	}
	return httpcaddyfile.App{Name: "php_pool", Value: caddyconfig.JSON(app, nil)}, nil
}

// parsePool parses `pool <name> { ... }` in the global options.
func (a *App) parsePool(d *caddyfile.Dispenser) error {
	d.Next() // "pool"
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("pool needs one name: write pool <name> { ... }")
	}
	name, options, seen := args[0], new(poolcfg.Options), map[string]bool{}
	if a.Pools[name] != nil {
		return d.Errf("duplicate pool %q: rename one", name)
	}
	for d.NextBlock(0) {
		if err := parsePoolOption(d.Val(), d.NextSegment(), options, seen); err != nil {
			return err
		}
	}
	if a.Pools == nil {
		a.Pools = map[string]*poolcfg.Options{}
	}
	a.Pools[name] = options
	return nil
}

// parseWorker parses a worker in the global options, which serves all sites.
func (a *App) parseWorker(d *caddyfile.Dispenser) error {
	d.Next() // "worker"
	w, err := parseWorker(d)
	if err != nil {
		return err
	}
	if len(w.Match) > 0 {
		return d.Errf("match is for the worker of a site: write worker %s in the block of the directive php_pool", w.File)
	}
	return addWorker(d, &a.Workers, w)
}

// parsePoolOption parses one pool option in the global options.
func parsePoolOption(name string, tokens caddyfile.Segment, o *poolcfg.Options, seen map[string]bool) error {
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	parse := poolOptionParser(name)
	if parse == nil {
		return unrecognized(d, inGlobal)
	}
	if seen[name] && !repeatable[name] {
		return d.Errf("duplicate option %q: remove one", name)
	}
	seen[name] = true
	return parse(d, o)
}
