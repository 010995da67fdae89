package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// publicDir returns a temporary directory that PHP's user can enter.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "php_pool-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A wrong worker makes the load of the config fail, with what to write instead.
func TestWorker_Refused(t *testing.T) {
	needWorkerMode(t)
	dir := publicDir(t)
	root := filepath.Join(dir, "public")
	for _, name := range []string{"public/index.php", "public/other.php", "public/worker.inc", "app/worker.php"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("<?php"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(root, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ lines, want string }{
		{"worker missing.php", "missing.php: no such file or directory"},
		{"worker ../public", "does not have the extension of a script: write match <path>"},
		{"worker " + root + " {\nmatch /a\n}", "is not a regular file: write the path of the script"},
		{"worker worker.inc", "does not have the extension of a script: write match <path>"},
		{"worker ../app/worker.php", "is outside of the root " + root + ", so that no request can name it: write match <path>"},
		{"root {http.request.host}\nworker index.php", "the root {http.request.host} depends on the request: write the absolute path of the script"},
		{"worker index.php {\nname same\n}\nworker other.php {\nname same\n}", "pool same is defined twice with different options: give one of them another name"},
		{"name same\nworker index.php {\nname same\n}", "pool same is defined twice with different options: give one of them another name"},
		{"worker index.php {\nenv A {env.NO_SUCH_VARIABLE}\n}", "env A: {env.NO_SUCH_VARIABLE} has no value"},
	} {
		lines := c.lines
		if !strings.HasPrefix(lines, "root") {
			lines = "root " + root + "\n" + lines
		}
		got := validate(t, "http://127.0.0.1:8080 {\nphp_pool {\n"+lines+"\n}\n}\n")
		if !strings.Contains(got, "worker ") || !strings.Contains(got, c.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", c.lines, got, c.want)
		}
	}
	// The root directive is another handler's.
	for _, c := range []struct{ root, worker, want string }{
		{root, dir + "/app/worker.php", "is outside of the root " + root + ", so that no request can name it: write match <path>"},
		{root, "../app/worker.php", "is outside of the root " + root},
		{root, dir + "/app/worker.php {\nmatch /a\n}", ""},
		{root, "index.php", ""},
		{dir + "/link", root + "/index.php", ""},
		{dir + "/link", dir + "/app/worker.php", "is outside of the root " + dir + "/link"},
	} {
		got := adapt(t, "http://127.0.0.1:8080 {\nroot "+c.root+"\nphp_pool {\nworker "+c.worker+"\n}\n}\n")
		if strings.HasPrefix(got, "error: ") != (c.want != "") || !strings.Contains(got, c.want) {
			t.Errorf("root %s, worker %s:\ngot  %s\nwant %s", c.root, c.worker, got, c.want)
		}
	}
}

// A root may be relative to the working directory, as in FrankenPHP's Caddyfile.
func TestWorker_RelativeRoot(t *testing.T) {
	root, err := os.MkdirTemp(".", "test-root-") // caddy.FastAbs does not notice t.Chdir
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	for _, file := range []string{filepath.Join(root, "index.php"), root + ".php"} {
		if err := os.WriteFile(file, []byte("<?php"), 0o644); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(file)
	}
	for worker, want := range map[string]string{"index.php": "", "../" + root + ".php": "is outside of the root "} {
		got := adapt(t, "http://127.0.0.1:8080 {\nroot "+root+"/\nphp_pool {\nworker "+worker+"\n}\n}\n")
		if strings.HasPrefix(got, "error: ") != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", worker, got, want)
		}
	}
}

// The same worker in two sites is one pool.
func TestWorker_SharedBySites(t *testing.T) {
	needWorkerMode(t)
	root := publicDir(t)
	if err := os.WriteFile(filepath.Join(root, "index.php"), []byte("<?php"), 0o644); err != nil {
		t.Fatal(err)
	}
	site := "php_pool {\nroot " + root + "\nworker index.php\n}\n}\n"
	if got := validate(t, "http://127.0.0.1:8080 {\n"+site+"http://127.0.0.1:8081 {\n"+site); got != "" {
		t.Error(got)
	}
}

// The pools of workers are among those that doctor examines.
func TestWorker_DryRun(t *testing.T) {
	needWorkerMode(t)
	root := publicDir(t)
	if err := os.WriteFile(filepath.Join(root, "index.php"), []byte("<?php"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := dryRunPools(t, adapt(t, `{
		php_pool {
			worker `+root+`/index.php {
				name everywhere
				num 2
			}
		}
	}
	example.com {
		root `+root+`
		php_pool {
			name shop
			workers 3
			stop_timeout 9s
			worker index.php 5
			worker gone.php {
				name gone
			}
		}
	}`))
	name := nameFromRoot(root + "/index.php")
	for _, c := range []struct {
		pool    string
		workers int
		err     string
	}{{"shop", 3, ""}, {name, 5, ""}, {"everywhere", 2, ""}, {"gone", 0, "no such file"}} {
		p, ok := got[c.pool]
		switch {
		case !ok:
			t.Errorf("%s is missing", c.pool)
		case c.err != "":
			if p.Err == nil || !strings.Contains(p.Err.Error(), c.err) {
				t.Errorf("%s: got error %v", c.pool, p.Err)
			}
		case p.Err != nil || p.Workers != c.workers:
			t.Errorf("%s: got %d workers, error %v, want %d", c.pool, p.Workers, p.Err, c.workers)
		}
	}
	if got[name].StopTimeout.Seconds() != 9 {
		t.Errorf("the worker's pool does not have the options of its site's pool: %+v", got[name])
	}
}
