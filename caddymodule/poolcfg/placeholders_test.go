package poolcfg

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	t.Setenv("POOLCFG_TEST", "a{b}")
	t.Setenv("POOLCFG_EMPTY", "")
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		"plain": "plain", "{env.POOLCFG_TEST}": "a{b}", "x{env.POOLCFG_TEST}y": "xa{b}y", "{env.POOLCFG_EMPTY}": "",
		"{file." + file + "}": "s3cret",
		// Braces that are not placeholders.
		`{"a": 1}`: `{"a": 1}`, "{color:red}": "{color:red}", "a{": "a{", "}": "}", "{}": "{}", "{host}": "{host}", "{env}": "{env}",
		"{$NAME}": "{$NAME}", "${NAME}": "${NAME}", `{"a": "{env.POOLCFG_TEST}"}`: `{"a": "a{b}"}`, `\{env.POOLCFG_TEST\}`: "{env.POOLCFG_TEST}",
	} {
		if got, err := Expand("process_env X", value); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", value, got, err, want)
		}
	}
	for value, want := range map[string]string{
		"{env.POOLCFG_NOT_SET}":        "process_env X: {env.POOLCFG_NOT_SET} has no value: set POOLCFG_NOT_SET in the environment of Caddy, or remove the option",
		"{file." + file + ".absent}":   "has no value",
		"{file." + t.TempDir() + "}":   "is a directory: write the path of a file",
		"{system.hostnam}":             "process_env X: {system.hostnam} is not a placeholder of Caddy: correct it",
		"{http.request.host}":          "process_env X: {http.request.host} depends on the request",
		"{vars.x}":                     "process_env X: {vars.x} depends on the request",
		"{time.now.yaer}":              "is not a placeholder of Caddy",
		"a {env.POOLCFG_NOT_SET} {x.}": "{env.POOLCFG_NOT_SET} has no value",
	} {
		if got, err := Expand("process_env X", value); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v, want the error %q", value, got, err, want)
		}
	}
}

// Every text of the options is expanded, and the options that were given stay.
func TestMerge_ExpandsPlaceholders(t *testing.T) {
	t.Setenv("POOLCFG_TEST", "value")
	const text, want = "{env.POOLCFG_TEST}", "value"
	defaults := &Options{INI: map[string]string{"a": text}, User: text}
	own := &Options{
		Binary: text, INIFile: text, INIScanDir: text, AdminINI: map[string]string{"a": text}, ProcessEnv: map[string]string{"A": text},
		Warmup: []string{"/" + text}, SpoolDir: text, InheritEnv: []string{text + "_*"},
	}
	o, err := Merge(defaults, own)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"binary": o.Binary, "ini_file": o.INIFile, "ini_scan_dir": o.INIScanDir, "ini": o.INI["a"], "admin_ini": o.AdminINI["a"],
		"process_env": o.ProcessEnv["A"], "user": o.User, "warmup": strings.TrimPrefix(o.Warmup[0], "/"), "spool_dir": o.SpoolDir,
		"inherit_env": strings.TrimSuffix(o.InheritEnv[0], "_*"),
	} {
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if own.Binary != text || own.AdminINI["a"] != text || own.Warmup[0] != "/"+text || defaults.INI["a"] != text {
		t.Errorf("the options have changed: %+v, %+v", defaults, own)
	}
	t.Setenv("POOLCFG_TEST", "changed")
	fresh, err := o.Reread()
	if err != nil || fresh.Binary != "changed" || o.Binary != want {
		t.Errorf("read again: got %+v, %v", fresh, err)
	}
	// Values are checked after that.
	if _, err := Merge(nil, &Options{Umask: text}); err == nil || !strings.Contains(err.Error(), "umask changed is not a file mode") {
		t.Errorf("got %v", err)
	}
}

func TestBindToRoot_Placeholder(t *testing.T) {
	t.Setenv("POOLCFG_TEST", "shop")
	for root, want := range map[string]string{
		"/srv/{env.POOLCFG_TEST}":         "",
		"/srv/{env.POOLCFG_NOT_SET}":      "isolate: root: {env.POOLCFG_NOT_SET} has no value",
		"{http.vars.root}":                "isolate needs a root that is the same for all requests, but {http.vars.root} depends on the request",
		"/srv/{http.request.host}/public": "isolate needs a root that is the same for all requests",
	} {
		o := &Options{Isolate: new(true)}
		err := o.BindToRoot("x", root, true)
		if want == "" && (err != nil || !strings.HasSuffix(filepath.ToSlash(o.binding.root), "/srv/shop")) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, %v, want %q", root, o.binding, err, want)
		}
	}
}
