package serve

import (
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/mevdschee/caddy-php-pool/caddymodule/devpage"
)

// caddyfile returns the text of a Caddyfile. It fails for a name that no Caddyfile can
// have.
func (s *site) caddyfile() (string, error) {
	var b writer
	if strings.ContainsAny(s.root, "{}") {
		return "", fmt.Errorf("in the directory %s Caddy would take { } for a placeholder: rename it", s.root)
	}
	if s.admin != "" || s.debug || s.domain != "" && s.listen != "" {
		b.open("")
		if s.admin != "" {
			b.line("admin", s.admin)
			b.line("persist_config", "off")
		}
		if s.debug {
			b.line("debug")
		}
		if s.domain != "" && s.listen != "" {
			b.line("auto_https", "disable_redirects") // port 80 may be somebody else's
		}
		b.close()
	}
	host, port, _ := net.SplitHostPort(s.listen) // it has been checked, or is empty
	switch {
	case s.domain == "":
		b.open("http://:" + port)
	case port == "":
		b.open(s.domain)
	default:
		b.open("https://" + net.JoinHostPort(s.domain, port))
	}
	if host != "" {
		b.line("bind", host)
	}
	b.line("root", s.root)
	if s.accessLog {
		b.line("log")
	}
	if s.compress {
		b.line("encode", "zstd", "gzip")
	}
	s.phpPool(&b)
	b.line("file_server")
	b.close()
	return b.text.String(), b.err
}

// phpPool writes the directive php_pool.
func (s *site) phpPool(b *writer) {
	if s.production && s.php == "" && len(s.workers) == 0 && len(s.variablesOfPHP()) == 0 {
		b.line("php_pool")
		return
	}
	b.open("php_pool")
	if s.php != "" {
		b.line("binary", s.php)
	}
	if !s.production {
		if s.domain == "" || devpage.IsLocalName(s.domain) {
			b.line("dev")
			b.line("ini", "display_errors", "0")
			b.line("ini", "log_errors", "1")
			b.line("ini", "error_log", "")
		} else { // dev is refused
			b.line("ini", "display_errors", "1")
			b.line("ini", "display_startup_errors", "1")
		}
		b.line("ini", "opcache.revalidate_freq", "0")
		b.line("ini", "error_reporting", "E_ALL")
		b.line("slow_request", "2s")
	}
	for _, name := range s.variablesOfPHP() {
		b.line("process_env", name, "{env."+name+"}")
	}
	for _, w := range s.workers {
		if s.watch == nil {
			b.line(append([]string{"worker", w.file}, nonEmpty(w.num)...)...)
			continue
		}
		b.open("worker", w.file)
		if w.num != "" {
			b.line("num", w.num)
		}
		b.line(append([]string{"watch"}, s.watch...)...)
		b.close()
	}
	b.close()
}

func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// writer writes the lines of a Caddyfile.
type writer struct {
	text  strings.Builder
	depth int
	err   error
}

func (b *writer) open(words ...string) {
	b.words(words)
	if words[0] != "" {
		b.text.WriteByte(' ')
	}
	b.text.WriteString("{\n")
	b.depth++
}

func (b *writer) close() {
	b.depth--
	b.text.WriteString(strings.Repeat("\t", b.depth) + "}\n")
}

func (b *writer) line(words ...string) {
	b.words(words)
	b.text.WriteByte('\n')
}

// envPlaceholder matches a placeholder of the environment, which needs no quotes.
var envPlaceholder = regexp.MustCompile(`^\{env\.[^{}\s]+\}$`)

func (b *writer) words(words []string) {
	b.text.WriteString(strings.Repeat("\t", b.depth))
	for i, word := range words {
		if i > 0 {
			b.text.WriteByte(' ')
		}
		if i > 0 && strings.Contains(word, "{$") || strings.ContainsAny(word, "\r\n`") {
			b.err = fmt.Errorf("a Caddyfile cannot have the name %q: rename it", word)
		}
		if word == "" && i > 0 {
			word = `""`
		} else if strings.ContainsAny(word, " \t\"#{}\\") && !envPlaceholder.MatchString(word) {
			word = "`" + word + "`"
		}
		b.text.WriteString(word)
	}
}
