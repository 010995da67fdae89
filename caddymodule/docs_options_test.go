package caddymodule

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documented is a row of an option table.
type documented struct{ place, meaning, value string }

// optionRow is | `name args` | place | meaning | default |.
var optionRow = regexp.MustCompile("^\\| `([a-z_]+)([^`]*)` \\| (pool|all pools|site|status|ping|status, ping) \\| (.*) \\| ?(.*?) ?\\|$")

// optionTables returns the rows of docs/configuration.md by option.
func optionTables(t *testing.T) map[string]documented {
	t.Helper()
	rows := map[string]documented{}
	for line := range strings.Lines(readDoc(t, "../docs/configuration.md")) {
		// A cell separator is a bar that is not escaped.
		line = strings.ReplaceAll(strings.TrimSpace(line), `\|`, "\x00")
		m := optionRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if rows[m[1]].place != "" {
			t.Errorf("%s has two rows", m[1])
		}
		rows[m[1]] = documented{m[3], m[4], m[5]}
	}
	return rows
}

func TestDocs_EveryOptionIsDocumented(t *testing.T) {
	accepted := map[string]string{
		"pool": "site", "dev": "site", "name": "site", "index": "site", "try_files": "site", "hide_sensitive": "site", rlimitPrefix: "pool",
		"allow": "status, ping", "full_uri": "status", "response": "ping", totalOption: "all pools", threadsOption: "all pools",
	}
	for name := range poolOptions {
		accepted[name] = "pool"
	}
	for name := range backendOptions {
		accepted[name] = "site"
	}
	for name := range proxyOptions {
		accepted[name] = "site"
	}
	rows := optionTables(t)
	for name, place := range accepted {
		if rows[name].place != place {
			t.Errorf("%s: got place %q, want %q", name, rows[name].place, place)
		}
		if rows[name].meaning == "" {
			t.Errorf("%s: no meaning", name)
		}
	}
	for name := range rows {
		if accepted[name] == "" {
			t.Errorf("%s is documented, and the Caddyfile does not accept it", name)
		}
	}
}

// The options of fastcgi have names that others have too, so their table has its own
// place.
func TestDocs_EveryFastCGIOptionIsDocumented(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)[^|]*(?:\\\\\\|[^|]*)?` \\| fastcgi \\| (.+) \\| (.+) \\|$")
	comments := fieldComments(t, "listener/options.go", "Listener")
	documented := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(readDoc(t, "../docs/configuration.md"), -1) {
		documented[m[1]] = true
		if fastcgiOptions[m[1]] == nil {
			t.Errorf("%s is documented, and fastcgi does not accept it", m[1])
		}
		value := strings.Trim(strings.TrimSuffix(m[3], "; `pong`"), "`")
		if value == "off" {
			value = "false"
		}
		if stated := "Default: "; !strings.Contains(strings.ReplaceAll(comments[m[1]], "`", ""), stated+value) && m[1] != "owner" && m[1] != "allow" {
			t.Errorf("%s: docs/configuration.md has the default %q, its comment is %q", m[1], value, comments[m[1]])
		}
	}
	for name := range fastcgiOptions {
		if !documented[name] {
			t.Errorf("%s is not documented", name)
		}
	}
}

// README's options are some of them, with the same defaults.
func TestDocs_ReadmeOptionsAreThoseOfTheManual(t *testing.T) {
	all := optionTables(t)
	_, section, _ := strings.Cut(readDoc(t, "../README.md"), "\n## Options\n")
	section, _, _ = strings.Cut(section, "\n## ")
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)[^`]*` \\| .* \\| ?(.*?) ?\\|$")
	found := row.FindAllStringSubmatch(section, -1)
	if len(found) < 10 {
		t.Fatalf("got %d options", len(found))
	}
	link := regexp.MustCompile(`\]\(|by memory`)
	for _, m := range found {
		want, ok := all[m[1]]
		switch {
		case !ok:
			t.Errorf("README has an option %s", m[1])
		case link.MatchString(m[2]): // it is explained there
		case m[2] != want.value && !strings.HasPrefix(want.value, m[2]+";"):
			t.Errorf("%s: README has the default %q, docs/configuration.md %q", m[1], m[2], want.value)
		}
	}
}

// The structs are the manual on caddyserver.com: their defaults are those of
// docs/configuration.md.
func TestDocs_DefaultsAreThoseOfTheComments(t *testing.T) {
	rows := optionTables(t)
	comments := map[string]string{}
	for file, typeName := range map[string]string{"poolcfg/options.go": "Options", "backend.go": "Backend", "handler.go": "Handler"} {
		maps.Copy(comments, fieldComments(t, file, typeName))
	}
	caddyfileName := map[string]string{"split_path": "split"}
	stated := regexp.MustCompile("Default: `?([^`\\s,;]+?)`?[.,;:]?(?:\\s|$)")
	same := map[string][]string{
		"64KiB": {"65536", "64KiB"}, "on": {"true", "on"}, "off": {"false", "off", "no", "0", "unlimited"},
	}
	n := 0
	for name, comment := range comments {
		if other := caddyfileName[name]; other != "" {
			name = other
		}
		row, ok := rows[name]
		m := stated.FindStringSubmatch(comment)
		if !ok || m == nil {
			continue
		}
		value, _, _ := strings.Cut(strings.Trim(row.value, "`"), ";")
		if !regexp.MustCompile(`^(-?\d\S*|on|off|[\w.]+\.php|\.php)$`).MatchString(value) {
			continue // a sentence
		}
		n++
		want := same[value]
		if want == nil {
			want = []string{value}
		}
		if !slices.Contains(want, m[1]) {
			t.Errorf("%s: docs/configuration.md has the default %q, its comment %q", name, value, m[1])
		}
	}
	if n < 15 {
		t.Errorf("compared %d defaults", n)
	}
}

// fieldComments returns the comments of a struct's fields by their JSON names.
func fieldComments(t *testing.T, file, name string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok || spec.Name.Name != name {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			if field.Tag == nil {
				continue
			}
			if m := regexp.MustCompile(`json:"(\w+)`).FindStringSubmatch(field.Tag.Value); m != nil {
				comments[m[1]] = strings.Join(strings.Fields(field.Doc.Text()), " ")
			}
		}
		return false
	})
	if len(comments) == 0 {
		t.Fatalf("%s has no struct %s", file, name)
	}
	return comments
}
