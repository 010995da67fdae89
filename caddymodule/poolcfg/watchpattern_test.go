package poolcfg

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestWatch_Patterns(t *testing.T) {
	for _, c := range []struct {
		pattern, dir string
		yes, no      []string
	}{
		{"/app", "/app", []string{"a.php", "a/b/c.txt", ".env"}, nil},
		{"/app/", "/app", []string{"a.php", "a/b"}, nil},
		{"/app/*.php", "/app", []string{"a.php"}, []string{"a/b.php", "a.phpx", "a.txt"}},
		{"/app/**/*.php", "/app", []string{"a.php", "a/b/c.php"}, []string{"a/b.txt"}},
		{"/app/**.php", "/app", []string{"a.php", "a/b/c.php"}, []string{"a/b.txt"}},
		{"/app/**/*.{php,twig}", "/app", []string{"a.php", "x/y.twig"}, []string{"x/y.yaml"}},
		{"/app/{src,lib}/**/*.php", "/app", []string{"src/a.php", "lib/x/a.php"}, []string{"var/a.php", "a.php"}},
		{"/app/**/src/**", "/app", []string{"src/a", "x/src/y/z"}, []string{"x/y", "srcs/a"}},
		{"/app/config.yaml", "/app", []string{"config.yaml"}, []string{"x/config.yaml", "config.yml"}},
		{"/app/**/*.{env,php,twig,yaml,yml}", "/app", []string{".env", "config/a.yml"}, []string{"a.js"}},
		{"/*.php", "/", []string{"a.php"}, []string{"b/a.php"}},
		{"/app/[ab]?/x", "/app", []string{"a1/x", "b2/x"}, []string{"c1/x", "a/x"}},
	} {
		w, err := parseWatch(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if w.dir != filepath.FromSlash(c.dir) {
			t.Errorf("%s: got the directory %s, want %s", c.pattern, w.dir, c.dir)
		}
		for _, path := range c.yes {
			if !w.matches(filepath.FromSlash(path)) {
				t.Errorf("%s does not match %s", c.pattern, path)
			}
		}
		for _, path := range c.no {
			if w.matches(filepath.FromSlash(path)) {
				t.Errorf("%s matches %s", c.pattern, path)
			}
		}
	}
	if _, err := parseWatch("/app/[x.php"); err == nil {
		t.Error("accepted /app/[x.php")
	}
}

func TestWatch_DefaultIsTheProject(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "app", "public", "index.php")
	write := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := func(dir string, files ...string) {
		t.Helper()
		pattern, err := absoluteWatch("", script)
		if err != nil {
			t.Fatal(err)
		}
		if got := filepath.Join(dir, filepath.FromSlash(defaultWatch)); pattern != got {
			t.Errorf("got %s, want %s", pattern, got)
		}
		var got []string
		for file := range WatchedFiles([]string{pattern}) {
			relative, err := filepath.Rel(dir, file)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, filepath.ToSlash(relative))
		}
		slices.Sort(got)
		if !slices.Equal(got, files) {
			t.Errorf("got %v, want %v", got, files)
		}
	}
	write(script)
	write(filepath.Join(dir, "app", "src", "a.php"))
	write(filepath.Join(dir, "app", ".env"))
	write(filepath.Join(dir, "app", "a.js"))
	want(filepath.Dir(script), "index.php")
	write(filepath.Join(dir, "app", "composer.json"))
	want(filepath.Join(dir, "app"), ".env", "public/index.php", "src/a.php")
}
