package caddymodule

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// page is a Markdown file of the checkout.
type page struct {
	path string // from the root of the checkout
	text string
}

// docs returns README.md, the other pages in that folder and docs/*.md.
func docs(t *testing.T) []page {
	t.Helper()
	var all []page
	for _, pattern := range []string{"../*.md", "../docs/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			all = append(all, page{filepath.ToSlash(strings.TrimPrefix(file, ".."+string(filepath.Separator))), readDoc(t, file)})
		}
	}
	if len(all) < 10 {
		t.Fatalf("got %d pages", len(all))
	}
	return all
}

func readDoc(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

var fence = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// blocks returns the code blocks of a language.
func (p page) blocks(language string) []string {
	var list []string
	for _, m := range fence.FindAllStringSubmatch(p.text, -1) {
		if m[1] == language {
			list = append(list, m[2])
		}
	}
	return list
}

// People read README.md first. The rest of the documentation is in docs.
func TestDocs_ReadmeIsShort(t *testing.T) {
	text := readDoc(t, "../README.md")
	if n := strings.Count(text, "\n"); n > 180 {
		t.Errorf("README.md: got %d lines, want at most 180", n)
	}
	if n := len(strings.Fields(text)); n > 1800 {
		t.Errorf("README.md: got %d words, want at most 1800", n)
	}
	for line := range strings.Lines(text) {
		if len([]rune(line)) > 201 {
			t.Errorf("README.md: a line of more than 200 characters: %s", line)
		}
	}
}

// Tables and code blocks may be wider.
func TestDocs_ProseLinesAreShort(t *testing.T) {
	for _, p := range docs(t) {
		for line := range strings.Lines(fence.ReplaceAllString(p.text, "")) {
			if len([]rune(line)) > 201 && !strings.HasPrefix(line, "|") {
				t.Errorf("%s: a line of more than 200 characters: %s", p.path, line)
			}
		}
	}
}

func TestDocs_CaddyfilesAdapt(t *testing.T) {
	n := 0
	for _, p := range docs(t) {
		for _, block := range p.blocks("caddyfile") {
			n++
			if got := string(caddyfile.Format([]byte(block))); got != block {
				t.Errorf("%s: caddy fmt changes\n%s\nto\n%s", p.path, block, got)
			}
			whole := block
			if !hasSite(block) {
				whole = "http://localhost:8080 {\nroot /srv/www\n" + block + "\n}\n"
			}
			if got := adapt(t, whole); strings.HasPrefix(got, "error") {
				t.Errorf("%s: %s%s", p.path, block, got)
			}
		}
	}
	if n < 9 {
		t.Errorf("got %d Caddyfiles", n)
	}
	example := readDoc(t, "../Caddyfile.example")
	if got := string(caddyfile.Format([]byte(example))); got != example {
		t.Errorf("caddy fmt changes Caddyfile.example to\n%s", got)
	}
}

// hasSite reports whether a Caddyfile is more than some directives of a site.
func hasSite(text string) bool {
	return regexp.MustCompile(`(?m)^(\{|\S*\.\S+ \{)$`).MatchString(text)
}

func TestDocs_JSONHandlerLoads(t *testing.T) {
	for _, block := range (page{text: readDoc(t, "../docs/configuration.md")}).blocks("json") {
		var config map[string]json.RawMessage
		if err := json.Unmarshal([]byte(block), &config); err != nil {
			t.Fatal(err)
		}
		if string(config["handler"]) != `"php_pool"` {
			t.Errorf("got handler %s", config["handler"])
		}
		delete(config, "handler")
		text, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := caddy.StrictUnmarshalJSON(text, new(Handler)); err != nil {
			t.Errorf("%v\n%s", err, block)
		}
	}
}

var (
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdHeading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

func TestDocs_LinksResolve(t *testing.T) {
	pages := docs(t)
	anchors := map[string][]string{}
	for _, p := range pages {
		for _, m := range mdHeading.FindAllStringSubmatch(fence.ReplaceAllString(p.text, ""), -1) {
			anchors[p.path] = append(anchors[p.path], anchor(m[1]))
		}
	}
	for _, p := range pages {
		for _, m := range mdLink.FindAllStringSubmatch(fence.ReplaceAllString(p.text, ""), -1) {
			file, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(m[1], "://") {
				continue
			}
			target := p.path
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(p.path), file))
			}
			if _, err := os.Stat(filepath.Join("..", target)); err != nil {
				t.Errorf("%s: %s: %v", p.path, m[1], err)
			} else if fragment != "" && !slices.Contains(anchors[target], fragment) {
				t.Errorf("%s: %s: %s has no such heading", p.path, m[1], target)
			}
		}
	}
	// Every page of docs can be found from its index.
	for _, p := range pages {
		name, inDocs := strings.CutPrefix(p.path, "docs/")
		if inDocs && name != "README.md" && !strings.Contains(readDoc(t, "../docs/README.md"), "]("+name+")") {
			t.Errorf("docs/README.md does not lead to %s", name)
		}
	}
}

// anchor makes the fragment that GitHub gives a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, heading)
}

func TestDocs_ShellCommandsParse(t *testing.T) {
	makefile := readDoc(t, "../Makefile")
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh")
	}
	for _, p := range docs(t) {
		for _, block := range p.blocks("sh") {
			cmd := exec.Command(shell, "-n")
			cmd.Stdin = strings.NewReader(block)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s\n%s", p.path, err, out, block)
			}
		}
		// In a sentence too.
		for _, m := range regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)").FindAllStringSubmatch(p.text, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s: there is no make %s", p.path, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`go (?:build|test|install)\b[^\n]*? (\./\w[\w./]*)`).FindAllStringSubmatch(p.text, -1) {
			if info, err := os.Stat(filepath.Join("..", m[1])); err != nil || !info.IsDir() {
				t.Errorf("%s: %s: no package %s", p.path, m[0], m[1])
			}
		}
	}
}

// The drop-ins are to be pasted: systemd ignores a line that it does not know.
func TestDocs_SystemdDropIns(t *testing.T) {
	known := []string{
		"AmbientCapabilities", "KillMode", "RuntimeDirectory", "RuntimeDirectoryMode", "StateDirectory", "StateDirectoryMode",
		"TimeoutStopSec",
	}
	blocks := page{text: readDoc(t, "../docs/operations.md")}.blocks("ini")
	if len(blocks) != 2 {
		t.Errorf("got %d drop-ins", len(blocks))
	}
	for _, block := range blocks {
		for i, line := range strings.Split(strings.TrimSpace(block), "\n") {
			key, _, isKey := strings.Cut(line, "=")
			switch {
			case i == 0 && line == "[Service]", strings.HasPrefix(line, "#"), isKey && slices.Contains(known, key):
			default:
				t.Errorf("%q is not a line of a drop-in", line)
			}
		}
	}
}

// What an administrator searches the log for is there.
func TestDocs_LogMessagesExist(t *testing.T) {
	var sources bytes.Buffer
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		sources.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(readDoc(t, "../docs/troubleshooting.md"), "\n## Log messages\n")
	section, _, _ = strings.Cut(section, "\n## ")
	messages := regexp.MustCompile("(?m)^\\| `[^|]*\\|").FindAllString(section, -1)
	if len(messages) < 8 {
		t.Errorf("got %d messages", len(messages))
	}
	for _, cell := range messages {
		// The logger follows in parentheses.
		cell = regexp.MustCompile("\\(`[^`]*`\\)").ReplaceAllString(cell, "")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			if !bytes.Contains(sources.Bytes(), []byte(`"`+m[1]+`"`)) {
				t.Errorf("nothing logs %q", m[1])
			}
		}
	}
}

// README and make run name the same packages.
func TestDocs_InstallHintsAgree(t *testing.T) {
	readme, deps := readDoc(t, "../README.md"), readDoc(t, "../.ci/deps")
	for _, command := range []string{"dnf install php-cli", "apk add php83-cgi", "pacman -S php-cgi", "brew install php"} {
		for name, text := range map[string]string{"README.md": readme, ".ci/deps": deps} {
			if !strings.Contains(text, command) {
				t.Errorf("%s does not have %q", name, command)
			}
		}
	}
}

// TestDocs_SecurityTests checks that each test that SECURITY.md names exists.
func TestDocs_SecurityTests(t *testing.T) {
	defined := map[string]bool{}
	for _, dir := range []string{".", "../e2e", "../phpbin", "../pool", "../fastcgi"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(readDoc(t, path), -1) {
				defined[m[1]] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, section, _ := strings.Cut(readDoc(t, "../SECURITY.md"), "\n## Who can do what\n")
	section, _, _ = strings.Cut(section, "\n## ")
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(section, -1)
	if len(named) < 30 {
		t.Errorf("SECURITY.md names %d tests", len(named))
	}
	for _, m := range named {
		if !defined[m[1]] {
			t.Errorf("SECURITY.md names %s, which does not exist", m[1])
		}
	}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || strings.Contains(line, "---") || strings.HasPrefix(line, "| a script can") || strings.HasPrefix(line, "| who") {
			continue
		}
		for _, cell := range cells[1:] {
			if !strings.Contains(cell, "`Test") {
				t.Errorf("SECURITY.md: a cell names no test: %s", line)
			}
		}
	}
}
