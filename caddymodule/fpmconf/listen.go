package fpmconf

import (
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Serving says for which php-fpm a Caddyfile takes over.
type Serving struct {
	// Root reports whether it runs as root. php-fpm ignores user and group otherwise.
	Root bool
	// RunAsRoot lets pools without a user run as root, as php-fpm's -R.
	RunAsRoot bool
	// INIFile and INIScanDir replace those that follow from the place of the files.
	INIFile, INIScanDir string
	// INI are settings of PHP that pools may override, each with its value.
	INI [][2]string
	// INIFiles returns the ini files that php-cgi reads, in that order, if it is started
	// with these options of a pool. Serve calls it if a pool adds to a list of PHP.
	INIFiles func(options []string) ([]string, error)
	// Global are lines for the global options.
	Global []string
}

// Serve writes a Caddyfile that listens where the pools of c do and serves FastCGI
// there, instead of php-fpm. Lines that php-fpm would not read are among the Lost.
func Serve(c *Config, s *Serving) *Result {
	conv := &converter{config: c, serving: s}
	global := &block{}
	conv.settings(global, viewOf(c.Global))
	for _, pair := range s.INI {
		value, ok := token(pair[1])
		if name, nameOK := token(pair[0]); ok && nameOK {
			global.options = append(global.options, "ini "+name+" "+value)
			continue
		}
		conv.lost = append(conv.lost, "-d "+pair[0]+": a Caddyfile cannot have this value")
	}
	text := append([]string{"{"}, lines("\t", s.Global...)...)
	text = append(append(text, "\tphp_pool {"), global.lines("\t\t")...)
	for _, p := range c.Pools {
		b := conv.pool(p)
		text = append(append(text, b.pool()...), b.listeners...)
	}
	text = append(text, "\t}", "}", "")
	return &Result{Caddyfile: strings.Join(text, "\n"), Lost: conv.lost, Dropped: conv.dropped}
}

// served are the directives that the listener and the command have; a Caddyfile needs
// no comment on them.
var served = strings.Fields(`pid daemonize error_log log_level syslog.ident syslog.facility systemd_interval include prefix
	listen.owner listen.group listen.mode listen.allowed_clients pm.status_path pm.status_listen ping.path ping.response
	process_control_timeout security.limit_extensions events.mechanism chdir pm.min_spare_servers pm.max_spawn_rate slowlog access.log access.format access.suppress_path
	log_limit log_buffering decorate_workers_output catch_workers_output request_terminate_timeout_track_finished clear_env`)

// listen adds the fastcgi blocks of a pool.
func (c *converter) listen(b *block, v *view) {
	c.listener(b, v, v.value("listen"), v.value("pm.status_path"))
	if address := v.value("pm.status_listen"); address != "" {
		c.listener(b, v, address, cmpOr(v.value("pm.status_path"), "/"))
	}
	if c.serving.Root && v.value("user") == "" {
		b.options = append(b.options, "user root") // Check allows it with -R only
	}
	if _, ok := v.counts["request_slowlog_timeout[]"]; !ok {
		b.options = append(b.options, "slow_request off")
	}
	if timeout := c.globalValue("process_control_timeout"); timeout == "" || duration(timeout) == "off" {
		b.options = append(b.options, "stop_timeout "+unlimited)
	}
	b.options = append(b.options, "queue_timeout "+unlimited)
}

// unlimited is a time that no request lasts: php-fpm has no limit there.
const unlimited = "24h"

func cmpOr(value, other string) string {
	if value == "" {
		return other
	}
	return value
}

// listener adds a fastcgi block.
func (c *converter) listener(b *block, v *view, listen, status string) {
	address, unix := c.listenAddress(v, listen)
	var options []string
	add := func(name string, values ...string) {
		if !slices.Contains(values, "") {
			options = append(options, name+" "+quoteAll(values))
		}
	}
	add("pool", b.name)
	if unix {
		if mode := v.value("listen.mode"); mode != "" {
			address += "|" + mode
		}
		owner, group := v.value("listen.owner"), v.value("listen.group")
		if group != "" {
			owner += ":" + group
		}
		add("owner", owner)
	} else {
		add("allow", allowed(v.value("listen.allowed_clients"))...)
	}
	add("extensions", extensionsOf(v)...)
	add("status", status)
	if page := v.value("ping.path"); page != "" {
		add("ping", page, cmpOr(v.value("ping.response"), "pong"))
	}
	if v.value("access.log") != "" {
		format := []string{cmpOr(v.value("access.format"), defaultAccessFormat)}
		for i := range v.settings {
			if s := &v.settings[i]; s.Name == "access.suppress_path" && s.err == nil {
				format = append(format, s.Value)
			}
		}
		add("access_log", format...)
	}
	b.listeners = append(b.listeners, "", "\t\tfastcgi "+Quote(text(address))+" {")
	b.listeners = append(append(b.listeners, lines("\t\t\t", options...)...), "\t\t}")
}

// defaultAccessFormat is php-fpm's (fpm_conf_process_all_pools).
const defaultAccessFormat = `%R - %u %t "%m %r" %s`

// listenAddress returns an address as Caddy writes it, and whether it is a Unix socket.
func (c *converter) listenAddress(v *view, listen string) (address string, unix bool) {
	host, port, hasPort := cutLast(listen)
	switch {
	case strings.HasPrefix(listen, "/"):
		return "unix/" + listen, true
	case hasPort && strings.Contains(host, ":") && !strings.HasPrefix(host, "["):
		return "[" + host + "]:" + port, false
	case hasPort:
		return listen, false
	case strings.Trim(listen, "0123456789") == "":
		return ":" + listen, false
	}
	return "unix/" + path.Join("/", c.prefixOf(v), listen), true
}

// prefixOf returns the directory of the paths of a pool that are not absolute.
func (c *converter) prefixOf(v *view) string {
	prefix := v.value("prefix")
	if prefix == "" || prefix[0] == '/' {
		return cmpOr(prefix, c.config.prefix)
	}
	return path.Join(c.config.prefix, prefix)
}

// allowed returns the addresses that may connect. php-fpm ignores those that it cannot
// parse, and allows none if nothing is left.
func allowed(list string) []string {
	if strings.TrimSpace(list) == "" {
		return []string{"0.0.0.0/0", "::/0"}
	}
	var addresses []string
	for text := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		if _, err := netip.ParseAddr(text); err == nil {
			addresses = append(addresses, text)
		}
	}
	if len(addresses) == 0 {
		return []string{"255.255.255.255"} // no client has this address
	}
	return addresses
}

// extensionsOf returns the extensions that scripts may have.
func extensionsOf(v *view) []string {
	list := ".php .phar" // fpm_conf_process_all_pools
	if i, ok := v.counts["security.limit_extensions[]"]; ok {
		list = v.settings[i].Value
	}
	if extensions := strings.Fields(list); len(extensions) > 0 {
		return extensions
	}
	return []string{"*"}
}

// globalValue returns the value of a directive of [global].
func (c *converter) globalValue(name string) string { return viewOf(c.config.Global).value(name) }
