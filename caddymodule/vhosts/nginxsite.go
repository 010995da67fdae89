package vhosts

import (
	"regexp"
	"slices"
	"strings"
)

// nginx converts the servers among the directives, of http or of files below it.
func (c *converter) nginx(list []*directive) {
	c.findUpstreams(list)
	outside := &site{}
	for _, d := range list {
		switch d.name {
		case "server":
			c.server(d)
		case "http", "include":
			c.nginx(d.block)
		default:
			outside.drop(d, list)
		}
	}
	c.outside(outside)
}

// outside adds what is outside of sites.
func (c *converter) outside(s *site) {
	if len(s.notes) > 0 {
		c.result.Lines = append(append(c.result.Lines, "# Outside of sites:"), append(s.comments("", true), "")...)
		c.result.Lost = append(c.result.Lost, s.lost()...)
	}
}

// findUpstreams remembers the upstreams with one server, as php-fpm often has.
func (c *converter) findUpstreams(list []*directive) {
	for _, d := range list {
		if d.name != "upstream" {
			if d.name == "http" || d.name == "include" {
				c.findUpstreams(d.block)
			}
			continue
		}
		var servers []string
		for _, line := range d.block {
			if line.name == "server" {
				servers = append(servers, line.arg())
			}
		}
		if len(servers) == 1 {
			c.upstreams[d.arg()] = servers[0]
		}
	}
}

// listener is one listen of nginx.
type listener struct {
	port   string
	tls    bool
	others bool // the server is that of all names that no server has
	from   *directive
}

// server converts one server.
func (c *converter) server(d *directive) {
	s := &site{begin: d, index: []string{"index.html"}}
	var names []string
	var listeners []listener
	sslOn := slices.ContainsFunc(d.block, func(line *directive) bool { return line.name == "ssl" && line.arg() == "on" })
	for _, line := range expand(s, d.block) {
		switch line.name {
		case "listen":
			if l, ok := s.listen(line, sslOn); ok {
				listeners = append(listeners, l)
			}
		case "server_name":
			names = append(names, s.names(line)...)
		default:
			c.common(s, line, d.block)
		}
	}
	if len(listeners) == 0 {
		listeners = []listener{{port: "80", tls: sslOn}}
	}
	if names == nil && !slices.ContainsFunc(d.block, func(line *directive) bool { return line.name == "server_name" }) {
		names = []string{""}
	}
	for _, l := range listeners {
		if l.others && !slices.Contains(names, "") {
			s.add(l.from, "Caddy serves the names of the site only: add :"+l.port+" to them for others")
		}
		for _, host := range names {
			s.addAddress(host, l.port, l.tls)
		}
	}
	c.finish(s)
}

// expand returns the lines of a block with those of the files that it includes.
func expand(s *site, block []*directive) []*directive {
	var out []*directive
	for _, d := range block {
		if d.name == "include" {
			s.add(d, includes)
			out = append(out, expand(s, d.block)...)
		} else {
			out = append(out, d)
		}
	}
	return out
}

// listen returns the port of a listen.
func (s *site) listen(d *directive, sslOn bool) (l listener, ok bool) {
	address := d.arg()
	l = listener{port: "80", tls: sslOn || slices.Contains(d.words, "ssl") || slices.Contains(d.words, "quic")}
	if strings.HasPrefix(address, "unix:") {
		s.add(d, "write bind unix/<path> in a site")
		return l, false
	}
	host := address
	if i := strings.LastIndexByte(address, ':'); i >= 0 && !strings.HasSuffix(address, "]") {
		host, l.port = address[:i], address[i+1:]
	} else if strings.Trim(address, "0123456789") == "" {
		host, l.port = "", address
	}
	if l.port == "" || strings.Trim(l.port, "0123456789") != "" {
		s.add(d, "write this address")
		return l, false
	}
	if !slices.Contains([]string{"", "*", "0.0.0.0", "[::]"}, host) {
		s.lose(d, "write bind "+strings.Trim(host, "[]")+" in the site")
	}
	l.others = slices.Contains(d.words, "default_server") || slices.Contains(d.words, "default")
	l.from = d
	return l, true
}

// names returns the hosts of a server_name, "" for any.
func (s *site) names(d *directive) []string {
	var hosts []string
	for _, text := range d.args() {
		switch {
		case text == "_" || text == "":
			hosts = append(hosts, "")
		case strings.HasPrefix(text, ".") && name.MatchString(text[1:]):
			hosts = append(hosts, text[1:], "*"+text)
		case name.MatchString(text):
			hosts = append(hosts, text)
		default:
			s.add(d, "Caddy has no name such as "+text)
		}
	}
	return hosts
}

// frontController matches the last part of a try_files that is a script.
var frontController = regexp.MustCompile(`^(/[A-Za-z0-9._/-]+\.(?:php\d?|phtml))(?:\?\$args|\?\$query_string|\$is_args\$args|\?\$is_args\$args|\?)?$`)

// nginxTryFiles converts a try_files whose last part is a front controller or a status.
func (s *site) nginxTryFiles(d *directive) {
	args := slices.Clone(d.args())
	if len(args) < 2 {
		s.add(d, "write try_files in the block of php_pool")
		return
	}
	last := args[len(args)-1]
	for _, other := range args[:len(args)-1] {
		if other != "$uri" && other != "$uri/" {
			s.add(d, "write try_files in the block of php_pool")
			return
		}
	}
	switch m := frontController.FindStringSubmatch(last); {
	case m != nil:
		s.fallback, s.noIndex = m[1], !slices.Contains(args, "$uri/")
	case strings.HasPrefix(last, "="):
		s.noIndex = !slices.Contains(args, "$uri/")
	default:
		s.add(d, "write try_files in the block of php_pool")
	}
}

// location converts a location: that of PHP, that of all paths, or one that only hides
// what hide_sensitive hides too.
func (c *converter) location(s *site, d *directive) {
	modifier, pattern := "", d.arg()
	if args := d.args(); len(args) > 1 {
		modifier, pattern = args[0], args[1]
	}
	isRegex := strings.HasPrefix(modifier, "~")
	pass := slices.ContainsFunc(d.block, func(line *directive) bool { return line.name == "fastcgi_pass" })
	switch {
	case isRegex && pass && s.php == nil && c.phpLocation(s, d, pattern, modifier == "~*"):
	case pattern == "/" && !isRegex && modifier != "=" && !pass:
		for _, line := range expand(s, d.block) {
			c.common(s, line, d.block)
		}
	case isDenial(d.block) && (isRegex && hidesPath(pattern) || !isRegex && hiddenPlain.MatchString(pattern)):
		s.add(d, "left out, because hide_sensitive hides these files")
	default:
		s.drop(d, nil)
	}
}

// common converts a line that has the same meaning in a server and in its location /.
func (c *converter) common(s *site, line *directive, block []*directive) {
	switch line.name {
	case "root":
		s.setRoot(line)
	case "index":
		s.setIndex(line)
	case "try_files":
		s.nginxTryFiles(line)
	case "location":
		c.location(s, line)
	default:
		s.drop(line, block)
	}
}

// phpLocation converts the location of PHP. It returns false if the pattern selects
// other files, too.
func (c *converter) phpLocation(s *site, d *directive, pattern string, foldCase bool) bool {
	selected, ok := selectScripts(pattern, true, foldCase)
	if !ok {
		return false
	}
	s.php, s.exts = d, selected.exts
	if !selected.all {
		s.lose(d, "nginx runs only the scripts that match: write a matcher, such as php_pool @php")
	}
	for _, line := range expand(s, d.block) {
		switch {
		case line.name == "fastcgi_pass":
			s.address = line.arg()
			if upstream, ok := c.upstreams[s.address]; ok {
				s.address = upstream
			}
		case line.name == "root":
			if line.arg() != s.root && line.arg() != "$document_root" {
				s.add(line, "write root in the block of php_pool")
			}
		case line.name == "try_files", line.name == "set" && strings.HasPrefix(line.arg(), "$path_info"), line.name == "internal":
			s.add(line, done)
		case line.included && isStandardParam(line):
		case line.name == "if" && slices.Contains(line.words, "(!-f") && len(line.block) == 1:
			s.add(line, done)
			s.add(line.block[0], done)
		default:
			s.drop(line, d.block)
		}
	}
	return true
}
