package vhosts

import (
	"regexp"
	"slices"
	"strings"
)

// handler is how Apache passes scripts to php-fpm.
type handler struct {
	address string
	exts    []string
	all     bool
	from    *directive
}

// apache converts the virtual hosts among the directives.
func (c *converter) apache(list []*directive) {
	outside := &site{}
	var shared handler
	index := []string{"index.html", "index.php"} // as in Debian, where mods-enabled/dir.conf has more
	var hosts []*directive
	var walk func(list []*directive)
	walk = func(list []*directive) {
		for _, d := range list {
			h, isPHP := handlerOf(d)
			switch {
			case d.name == "<virtualhost":
				hosts = append(hosts, d)
			case d.name == "include" || d.name == "includeoptional":
				walk(d.block)
			case d.name == "directoryindex":
				outside.setIndex(d)
				index = outside.index
			case isPHP && shared.address == "":
				shared = h
			case deniesHidden(d):
				outside.add(d, "left out, because hide_sensitive hides these files")
			default:
				outside.drop(d, list)
			}
		}
	}
	walk(list)
	for _, d := range hosts {
		c.virtualHost(d, shared, index)
	}
	c.outside(outside)
}

// handlerOf returns the handler of a SetHandler or a section with one.
func handlerOf(d *directive) (h handler, ok bool) {
	switch d.name {
	case "sethandler":
		if address, ok := proxyAddress(d.arg()); ok {
			return handler{address, []string{".php"}, true, d}, true
		}
	case "<filesmatch", "<files":
		pattern := d.arg()
		if d.name == "<files" {
			if len(d.words) > 2 && d.words[1] == "~" {
				pattern = d.words[2]
			} else {
				pattern = wildcard(pattern)
			}
		}
		selected, matches := selectScripts(pattern, false, false)
		for _, line := range d.block {
			if h, ok := handlerOf(line); ok && line.name == "sethandler" && matches && len(d.block) == 1 {
				return handler{h.address, selected.exts, selected.all, d}, true
			}
		}
	case "proxypassmatch":
		args := d.args()
		if len(args) < 2 {
			return h, false
		}
		selected, matches := selectScripts(args[0], true, false)
		if address, ok := proxyAddress(args[1]); ok && matches {
			return handler{address, selected.exts, selected.all, d}, true
		}
	}
	return h, false
}

// wildcard returns the regular expression of a pattern of <Files>.
func wildcard(pattern string) string {
	return "^" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern)) + "$"
}

// proxyAddress returns the address of php-fpm in the URL of a proxy, as that of
// fastcgi_pass: unix:/path or host:port.
func proxyAddress(url string) (address string, ok bool) {
	url = strings.TrimPrefix(url, "proxy:")
	if socket, _, ok := strings.Cut(url, "|fcgi://"); ok {
		return socket, strings.HasPrefix(socket, "unix:")
	}
	address, ok = strings.CutPrefix(url, "fcgi://")
	address, _, _ = strings.Cut(address, "/")
	return address, ok && address != ""
}

// deniesHidden reports whether a section denies only what hide_sensitive hides.
func deniesHidden(d *directive) bool {
	if !isDenial(d.block) {
		return false
	}
	pattern := d.arg()
	if d.arg() == "~" && len(d.words) > 2 {
		pattern = d.words[2]
	}
	switch {
	case d.name == "<filesmatch", d.name == "<files" && d.arg() == "~":
		return hidesName(pattern) || regexp.MustCompile(`^\.\+?\\\.phps\$$`).MatchString(pattern)
	case d.name == "<files":
		return hiddenPlain.MatchString(pattern)
	case d.name == "<directorymatch", d.name == "<locationmatch":
		return hidesPath(pattern)
	}
	return false
}

// virtualHost converts one virtual host. shared is the handler of all.
func (c *converter) virtualHost(d *directive, shared handler, index []string) {
	s := &site{begin: d, index: index}
	v := &virtualHost{site: s, own: shared}
	for _, line := range d.block {
		if line.name == "documentroot" {
			s.setRoot(line) // sections refer to it
		}
	}
	v.lines(d.block, true)
	v.addresses(d)
	if v.own.from != nil {
		s.address, s.exts = v.own.address, v.own.exts
		if !v.own.all {
			s.lose(v.own.from, "Apache runs only the scripts that match: write a matcher, such as php_pool @php")
		}
	}
	c.finish(s)
}

// virtualHost is a site of Apache.
type virtualHost struct {
	site  *site
	own   handler
	names []string
	tls   bool
	set   bool // own is that of the host
}

// lines converts lines of the host, or of the section for its root.
func (v *virtualHost) lines(list []*directive, top bool) {
	s := v.site
	for _, d := range list {
		h, isPHP := handlerOf(d)
		switch {
		case isPHP && !v.set:
			v.own, v.set = h, true
		case d.name == "servername" && top, d.name == "serveralias" && top:
			v.addNames(d)
		case d.name == "documentroot" && top:
		case d.name == "directoryindex":
			s.setIndex(d)
		case d.name == "fallbackresource":
			v.fallback(d)
		case d.name == "sslengine":
			v.tls = strings.EqualFold(d.arg(), "on")
			s.add(d, remedy(d))
		case d.name == "<directory" && top && s.root != "" && strings.TrimRight(d.arg(), "/") == strings.TrimRight(s.root, "/"):
			s.add(d, "left out, because it is the root")
			v.lines(d.block, false)
		case deniesHidden(d):
			s.add(d, "left out, because hide_sensitive hides these files")
		case (d.name == "include" || d.name == "includeoptional") && len(d.block) > 0:
			s.add(d, includes)
			v.lines(d.block, top)
		default:
			s.drop(d, list)
		}
	}
}

// addNames adds the names of a ServerName or ServerAlias.
func (v *virtualHost) addNames(d *directive) {
	for _, text := range d.args() {
		host := strings.TrimPrefix(strings.TrimPrefix(text, "http://"), "https://")
		if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
			host = host[:i]
		}
		if name.MatchString(host) {
			v.names = append(v.names, host)
		} else {
			v.site.add(d, "Caddy has no name such as "+text)
		}
	}
}

// fallback converts FallbackResource.
func (v *virtualHost) fallback(d *directive) {
	switch path := d.arg(); {
	case strings.EqualFold(path, "disabled"):
		v.site.fallback = ""
	case frontController.MatchString(path) && !strings.Contains(path, "?"):
		v.site.fallback = path
	default:
		v.site.add(d, "write try_files in the block of php_pool")
	}
}

// addresses adds an address for each name and each address of the host.
func (v *virtualHost) addresses(d *directive) {
	names := v.names
	if len(names) == 0 && !slices.ContainsFunc(d.block, func(line *directive) bool { return line.name == "servername" }) {
		names = []string{""}
	}
	for _, address := range d.args() {
		host, port := address, "80"
		if i := strings.LastIndexByte(address, ':'); i >= 0 && !strings.HasSuffix(address, "]") {
			host, port = address[:i], address[i+1:]
		} else if v.tls {
			port = "443"
		}
		if port == "*" {
			port = "80"
		}
		if strings.Trim(port, "0123456789") != "" {
			v.site.add(d, "write this address")
			continue
		}
		if !slices.Contains([]string{"*", "_default_", "0.0.0.0", "[::]"}, host) {
			v.site.lose(d, "write bind "+strings.Trim(host, "[]")+" in the site, unless "+host+" is its name")
		}
		for _, name := range names {
			v.site.addAddress(name, port, v.tls)
		}
	}
}
