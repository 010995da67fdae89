package vhosts

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/mevdschee/caddy-php-pool/caddymodule/fpmconf"
)

// Result has the sites of a Caddyfile.
type Result struct {
	Lines []string
	// Lost are the lines that the sites do not have, although they protect something:
	// each with its file, its number and the remedy.
	Lost []string
}

// site is one site of a Caddyfile, while it is made.
type site struct {
	begin     *directive
	addresses []string
	root      string
	index     []string // names of index files
	noIndex   bool     // directories have no index files
	fallback  string   // the front controller, or ""
	address   string   // of php-fpm, or "" if the site has none
	php       *directive
	exts      []string
	notes     []note
	missing   string // why it is left out, or ""
}

// note is a comment on a directive.
type note struct {
	directive *directive
	reason    string
	lost      bool // it protects something
}

// converter makes sites of a Config.
type converter struct {
	find   fpmconf.Finder
	used   map[string]*directive // addresses of sites, and where they come from
	result Result
	// upstreams are the addresses of nginx's upstreams with one server.
	upstreams map[string]string
}

// Sites converts the sites of c. find returns the pool that listens at an address.
func (c *Config) Sites(find fpmconf.Finder) *Result {
	conv := &converter{find: find, used: map[string]*directive{}, upstreams: map[string]string{}}
	conv.nginx(c.nginx)
	conv.apache(c.apache)
	return &conv.result
}

// add adds a comment on a directive.
func (s *site) add(d *directive, reason string) { s.notes = append(s.notes, note{d, reason, false}) }

// lose adds a comment on a directive that protects something.
func (s *site) lose(d *directive, reason string) { s.notes = append(s.notes, note{d, reason, true}) }

// text returns the comment. It begins with TODO unless there is nothing to do. served is
// false if the site is left out, so that nothing is lost.
func (n *note) text(served bool) string {
	d, reason := n.directive, n.reason
	if reason == "" {
		reason = "import does not convert it"
	}
	if n.lost && served {
		reason = "NOT IMPORTED: " + reason
	}
	text := fpmconf.Comment(d.file, d.line, d.text(), reason)
	if n.lost && served || strings.HasPrefix(reason, "left out, because") {
		return text
	}
	return "# TODO " + strings.TrimPrefix(text, "# ")
}

// drop comments on a directive that is not converted, and on those of its block.
// siblings are the directives of the block where it is.
func (s *site) drop(d *directive, siblings []*directive) {
	if d.included && isStandardParam(d) {
		return // the comment on the include says so
	}
	_, isPHP := handlerOf(d)
	switch reason := protects(d, siblings); {
	case reason != "":
		s.lose(d, reason)
	case isPHP || d.name == "fastcgi_pass":
		s.lose(d, "this part of the site has its own pool: write php_pool with a matcher")
	case d.name == "include" || d.name == "includeoptional":
		s.add(d, includes)
	default:
		s.add(d, remedy(d))
	}
	for _, line := range d.block {
		if hasOwnLines(d) {
			s.add(line, fmt.Sprintf("left out, because it belongs to line %d", d.line))
		} else {
			s.drop(line, d.block)
		}
	}
}

// leaveOut makes the site one of comments only.
func (s *site) leaveOut(reason string) {
	if s.missing == "" {
		s.missing = reason
	}
}

// setRoot sets the root, which must be one path.
func (s *site) setRoot(d *directive) {
	path := d.arg()
	switch {
	case strings.ContainsAny(path, "$%"):
		s.leaveOut("its root depends on variables, which import cannot convert: " + path)
	case !strings.HasPrefix(path, "/"):
		s.leaveOut("its root is not a whole path: " + path)
	default:
		s.root = path
	}
}

// indexName matches index files. Others are scripts of other languages, or paths.
var indexName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*\.(?:php\d?|html?|phtml)$`)

// setIndex sets the names of the index files.
func (s *site) setIndex(d *directive) {
	s.index = nil
	for _, name := range d.args() {
		if indexName.MatchString(name) {
			s.index = append(s.index, name)
		} else {
			s.add(d, "left out, because index "+name+" is no page or script")
		}
	}
}

// tryFiles returns the option try_files, or "" for its default. index is the option of
// that name, or "" for its default.
func (s *site) tryFiles() (index, tryFiles string) {
	if s.noIndex {
		s.index = nil
	}
	scripts := slices.DeleteFunc(slices.Clone(s.index), func(name string) bool { return strings.Contains(name, ".htm") })
	if len(scripts) > 0 && scripts[0] != "index.php" {
		index = scripts[0]
	}
	files := []string{"{path}"}
	for _, name := range s.index {
		files = append(files, "{path}/"+name)
	}
	if s.fallback != "" {
		files = append(files, fpmconf.Quote(strings.TrimPrefix(s.fallback, "/")))
	}
	tryFiles = strings.Join(files, " ")
	if tryFiles == "{path} {path}/index.php index.php" {
		return index, ""
	}
	return index, tryFiles
}

// finish adds the site to the result.
func (c *converter) finish(s *site) {
	switch {
	case s.address == "":
		s.leaveOut("it passes nothing to php-fpm")
	case s.root == "":
		s.leaveOut("it has no root")
	case len(s.addresses) == 0:
		s.leaveOut("none of its names can be an address of Caddy")
	}
	s.addresses = slices.DeleteFunc(s.addresses, func(address string) bool {
		if other := c.used[address]; other != nil && s.missing == "" {
			s.add(s.begin, fmt.Sprintf("%s is the address of the site of %s:%d", address, other.file, other.line))
			return true
		}
		return false
	})
	if len(s.addresses) == 0 {
		s.leaveOut("other sites have its addresses")
	}
	pool := ""
	if s.missing == "" {
		pool = c.pool(s)
	}
	if s.missing != "" {
		s.notes = append([]note{{s.begin, "no site, because " + s.missing, false}}, s.notes...)
		c.result.Lines = append(append(c.result.Lines, s.comments("", false)...), "")
		return
	}
	for _, address := range s.addresses {
		c.used[address] = s.begin
	}
	lines := []string{fpmconf.Comment(s.begin.file, s.begin.line, s.begin.text(), "this site"), strings.Join(s.addresses, ", ") + " {"}
	lines = append(lines, s.comments("\t", true)...)
	lines = append(lines, "\troot "+fpmconf.Quote(s.root), "\tphp_pool {", "\t\tpool "+pool)
	lines = append(lines, s.options()...)
	lines = append(lines, "\t}", "\tfile_server", "}", "")
	c.result.Lines = append(c.result.Lines, lines...)
	c.result.Lost = append(c.result.Lost, s.lost()...)
}

// pool returns the pool of a site, and limits the site to the extensions that it runs.
func (c *converter) pool(s *site) string {
	pool, limit, found := c.find(s.address)
	if limit == nil {
		limit = []string{".php", ".phar"} // php-fpm's default
	}
	s.exts = slices.DeleteFunc(slices.Clone(s.exts), func(ext string) bool { return !slices.Contains(limit, ext) })
	switch {
	case !found:
		s.leaveOut("no pool of php-fpm's files listens at " + s.address)
	case len(s.exts) == 0:
		s.leaveOut("php-fpm runs none of the extensions that it passes on: security.limit_extensions of the pool is " + strings.Join(limit, " "))
	}
	return pool
}

// comments returns the notes as comments.
func (s *site) comments(indent string, served bool) []string {
	var lines []string
	for i := range s.notes {
		lines = append(lines, indent+s.notes[i].text(served))
	}
	return lines
}

// lost returns the notes on what protects something.
func (s *site) lost() []string {
	var lines []string
	for i := range s.notes {
		if s.notes[i].lost {
			lines = append(lines, strings.TrimPrefix(s.notes[i].text(true), "# "))
		}
	}
	return lines
}

// options returns the options of php_pool.
func (s *site) options() []string {
	var lines []string
	if !slices.Equal(s.exts, []string{".php"}) {
		lines = append(lines, "\t\tsplit "+strings.Join(s.exts, " "))
	}
	index, files := s.tryFiles()
	if index != "" {
		lines = append(lines, "\t\tindex "+index)
	}
	if files != "" {
		lines = append(lines, "\t\ttry_files "+files)
	}
	return lines
}

// name matches what a site's address may have.
var name = regexp.MustCompile(`^(?:\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$|^\[[0-9a-f:]+\]$`)

// addAddress adds the address for a name, or for any if it is "".
func (s *site) addAddress(host, port string, tls bool) {
	scheme, standard := "http", "80"
	if tls {
		scheme, standard = "https", "443"
	}
	address := scheme + "://" + host
	switch {
	case host == "":
		address = ":" + port
	case port != standard:
		address += ":" + port
	case tls:
		address = host
	}
	if host == "" && tls {
		s.add(s.begin, "Caddy needs names for certificates: write them in place of "+address)
	}
	if !slices.Contains(s.addresses, address) {
		s.addresses = append(s.addresses, address)
	}
}
