package fpmconf

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// fastcgi matches a php_fastcgi directive: its indent, arguments and opening brace.
var fastcgi = regexp.MustCompile(`^(\s*)php_fastcgi\s+([^#{]*?)\s*(\{)?\s*(#.*)?$`)

// replaceSites returns the lines of a Caddyfile with the global options, and with
// php_pool instead of php_fastcgi where a pool has the address.
func replaceSites(caddyfile string, options []string, blocks []*block) ([]string, error) {
	if regexp.MustCompile(`(?m)^\s*php_pool\s*\{?\s*$`).MatchString(caddyfile) {
		return nil, errors.New("it has php_pool already: remove that, or merge the output of import without --caddyfile by hand")
	}
	var out []string
	inserted := false
	for line := range strings.SplitSeq(strings.ReplaceAll(caddyfile, "\r\n", "\n"), "\n") {
		if code := strings.TrimSpace(line); !inserted && code != "" && code[0] != '#' {
			inserted = true
			if code == "{" {
				out = append(append(out, line), options...)
				continue
			}
			out = append(append(append(out, "{"), options...), "}", "")
		}
		if m := fastcgi.FindStringSubmatch(line); m != nil {
			out = append(out, replaceSite(m, line, blocks)...)
		} else {
			out = append(out, line)
		}
	}
	if !inserted {
		out = append(append(append(out, "{"), options...), "}")
	}
	return out, nil
}

// replaceSite returns the lines for a php_fastcgi.
func replaceSite(m []string, line string, blocks []*block) []string {
	indent, args, brace, remark := m[1], strings.Fields(m[2]), m[3], m[4]
	var matcher string
	if len(args) > 0 && strings.ContainsRune("@/*", rune(args[0][0])) {
		matcher, args = args[0]+" ", args[1:]
	}
	i := slices.IndexFunc(blocks, func(b *block) bool { return len(args) == 1 && sameAddress(args[0], b.listen) })
	if i < 0 {
		return []string{indent + "# NOT IMPORTED: no pool of the files listens at this address", line}
	}
	b := blocks[i]
	b.narrow = nil
	out := []string{strings.TrimRight(indent+"php_pool "+matcher+"{ "+remark, " "), indent + "\tpool " + b.token()}
	if b.split != nil && !slices.Equal(b.split, []string{".php"}) {
		out = append(out, indent+"\tsplit "+quoteAll(b.split))
	}
	if brace == "" {
		out = append(out, indent+"}")
	}
	return out
}

// sameAddress reports whether an address of Caddy is the listen of a pool. A pool that
// listens at a port only is at every address of this machine.
func sameAddress(address, listen string) bool {
	address = strings.Trim(address, "\"`")
	if listen == "" || strings.Contains(listen, mark) {
		return false
	}
	if path, ok := strings.CutPrefix(address, "unix/"); ok {
		return path == listen
	}
	address = strings.TrimPrefix(address, "tcp/")
	host, port, _ := cutLast(address)
	poolHost, poolPort, ok := cutLast(listen)
	if !ok {
		poolHost, poolPort = "", listen
	}
	local := []string{"", "localhost", "127.0.0.1", "[::1]"}
	everywhere := []string{"", "*", "0.0.0.0", "[::]"}
	if port != poolPort {
		return false
	}
	return host == poolHost || slices.Contains(local, host) && (slices.Contains(local, poolHost) || slices.Contains(everywhere, poolHost))
}

// cutLast cuts an address before its port.
func cutLast(address string) (host, port string, ok bool) {
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return address, "", false
	}
	return address[:i], address[i+1:], true
}
