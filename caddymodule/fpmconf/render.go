package fpmconf

import (
	"fmt"
	"strings"
)

// Result is a Caddyfile that has the settings of php-fpm's files.
type Result struct {
	Caddyfile string
	// Lost are the lines that the Caddyfile does not have, although they protect or
	// may protect something: each with its file, its number and the remedy.
	Lost []string
	// Dropped are other lines that have no effect, each with the reason, of Serve.
	Dropped []string
}

// Convert writes the global options of a Caddyfile for the pools of c. Each line of
// php-fpm's files is an option there, or a comment that says why not.
//
// If site is not nil it is a Caddyfile: the result is that Caddyfile, with these global
// options and with php_pool in place of each php_fastcgi whose address is that of a
// pool. The error says that this Caddyfile cannot be changed so.
func Convert(c *Config, site []byte) (*Result, error) {
	return convert(c, func(options []string, blocks []*block) ([]string, error) {
		if site != nil {
			return replaceSites(string(site), options, blocks)
		}
		var text []string
		for _, b := range blocks {
			text = append(text, b.hint()...)
		}
		return append(inGlobalOptions(options), text...), nil
	})
}

// Finder returns the pool that listens at an address, as a token of a Caddyfile, and its
// security.limit_extensions, nil if it has none: the site has to have them. The address
// is that of nginx's fastcgi_pass: unix:/path, or a host with a port.
type Finder func(address string) (pool string, extensions []string, ok bool)

// ConvertSites is Convert with the lines of sites, and a hint for each pool that none of
// them uses.
func ConvertSites(c *Config, sites func(Finder) []string) *Result {
	result, _ := convert(c, func(options []string, blocks []*block) ([]string, error) {
		used := map[*block]bool{}
		text := append(inGlobalOptions(options), sites(func(address string) (string, []string, bool) {
			if path, ok := strings.CutPrefix(address, "unix:"); ok {
				address = "unix/" + path
			}
			for _, b := range blocks {
				if sameAddress(address, b.listen) {
					used[b], b.narrow = true, nil
					return b.token(), b.split, true
				}
			}
			return "", nil, false
		})...)
		for _, b := range blocks {
			if !used[b] {
				text = append(text, b.hint()...)
			}
		}
		return text, nil
	}) // there is no Caddyfile that could not be changed
	return result
}

func inGlobalOptions(lines []string) []string {
	return append(append([]string{"{"}, lines...), "}", "")
}

// convert converts the pools. render returns the lines of the Caddyfile.
func convert(c *Config, render func(options []string, blocks []*block) ([]string, error)) (*Result, error) {
	conv := &converter{config: c}
	global := &block{global: true}
	conv.settings(global, viewOf(c.Global))
	blocks := make([]*block, len(c.Pools))
	for i, p := range c.Pools {
		blocks[i] = conv.pool(p)
	}
	options := lines("\t", "php_pool {")
	options = append(options, global.lines("\t\t")...)
	for i, b := range blocks {
		if i > 0 || len(options) > 1 {
			options = append(options, "")
		}
		options = append(options, b.pool()...)
	}
	options = append(options, "\t}")

	text, err := render(options, blocks)
	if err != nil {
		return nil, err
	}
	for _, b := range blocks {
		if b.narrow != nil {
			conv.lost = append(conv.lost, strings.TrimPrefix(comment(b.narrow, "NOT IMPORTED: "+Remedy(b.narrow.Name, b.split)), "# "))
		}
	}
	return &Result{Caddyfile: strings.TrimRight(strings.Join(text, "\n"), "\n") + "\n", Lost: conv.lost}, nil
}

func lines(indent string, list ...string) []string {
	var out []string
	for _, line := range list {
		out = append(out, indent+line)
	}
	return out
}

// lines returns the comments and options of a block.
func (b *block) lines(indent string) []string {
	return append(lines(indent, b.comments...), lines(indent, b.options...)...)
}

// pool returns the block of a pool in the global options.
func (b *block) pool() []string {
	out := lines("\t\t", "pool "+b.token()+" {")
	return append(append(out, b.lines("\t\t\t")...), "\t\t}")
}

// token returns the name of the pool.
func (b *block) token() string {
	if name, ok := token(b.name); ok {
		return name
	}
	return Quote(printable(b.name))
}

// hint says how a site uses the pool.
func (b *block) hint() []string {
	out := []string{fmt.Sprintf("# In each site, instead of php_fastcgi %s:", printable(Address(text(b.listen)))), "#", "#\tphp_pool {", "#\t\tpool " + printable(b.token())}
	if b.split != nil {
		out = append(out, "#\t\tsplit "+printable(quoteAll(b.split)))
	}
	return append(out, "#\t}", "")
}

// Address returns an address of php-fpm as Caddy's php_fastcgi has it: a path, a port,
// or a host with a port.
func Address(listen string) string {
	switch {
	case listen == "":
		return "<address>"
	case strings.HasPrefix(listen, "/"):
		return "unix/" + listen
	case strings.Contains(listen, ":"):
		return listen
	case strings.Trim(listen, "0123456789") == "":
		return "localhost:" + listen
	}
	return "unix/" + listen
}
