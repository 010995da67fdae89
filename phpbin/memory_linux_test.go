package phpbin_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// memorized is a php-cgi with all that it depends on, in temporary directories.
type memorized struct {
	t      *testing.T
	memory phpbin.Memory
	path   string
	o      phpbin.Options

	rc, scan, extensions string // directories of php.ini, other ini files, and ctype.so
}

func newMemorized(t *testing.T) *memorized {
	t.Helper()
	info, err := phpbin.ReadPHPInfo(testContext(t), php(t), phpbin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m := &memorized{t: t, memory: phpbin.FreshMemory(filepath.Join(dir, "memory")), path: filepath.Join(dir, "bin", "php-cgi")}
	m.rc, m.scan, m.extensions = filepath.Join(dir, "rc"), filepath.Join(dir, "scan"), filepath.Join(dir, "extensions")
	for _, d := range []string{filepath.Dir(m.path), m.rc, m.scan, m.extensions} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	original, err := filepath.EvalSymlinks(php(t))
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, m.path, original, 0o755)
	from, _ := info.Setting("extension_dir")
	copyFile(t, filepath.Join(m.extensions, "ctype.so"), filepath.Join(from, "ctype.so"), 0o644)
	writeText(t, filepath.Join(m.rc, "php.ini"), "extension_dir="+m.extensions+"\nmemory_limit=77M\n")
	writeText(t, filepath.Join(m.scan, "a.ini"), "extension=ctype\n")
	m.o = phpbin.Options{INIScanDir: &m.scan, Env: map[string]string{"PHPRC": m.rc}, INI: []phpbin.Setting{{Name: "precision", Value: "7"}}}
	return m
}

// detect detects php-cgi, and remembers it.
func (m *memorized) detect() *phpbin.Binary {
	m.t.Helper()
	b, err := m.memory.Detect(testContext(m.t), m.path, m.o)
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

// remembered returns what is found out without running php-cgi, or nil.
func (m *memorized) remembered() *phpbin.Binary {
	ended, cancel := context.WithCancel(context.Background())
	cancel() // so that php-cgi cannot run
	b, err := m.memory.Detect(ended, m.path, m.o)
	if err != nil {
		return nil
	}
	return b
}

// file returns the only file of the memory.
func (m *memorized) file() string {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.memory.Dir, "*"))
	if err != nil || len(files) != 1 {
		m.t.Fatalf("got files %q, %v, want one", files, err)
	}
	return files[0]
}

func copyFile(t *testing.T, to, from string, mode os.FileMode) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMemory(t *testing.T) {
	m := newMemorized(t)
	if m.remembered() != nil {
		t.Fatal("something is remembered before php-cgi has run")
	}
	first := m.detect()
	if first.MemoryLimit != 77<<20 || len(first.ScannedFiles) != 1 || len(first.Warnings) > 0 {
		t.Fatalf("got %+v", first)
	}
	again := m.remembered()
	if again == nil {
		t.Fatal("nothing is remembered")
	}
	value, ok := again.Setting("cgi.fix_pathinfo")
	if want, wantOK := first.Setting("cgi.fix_pathinfo"); value != want || ok != wantOK || again.ID() != first.ID() {
		t.Errorf("got %q, %t, %s, want %q, %t, %s", value, ok, again.ID(), want, wantOK, first.ID())
	}
	for _, b := range []*phpbin.Binary{first, again} {
		b.ModTime = b.ModTime.UTC() // the location differs
	}
	if a, b := fmt.Sprintf("%+v", published(first)), fmt.Sprintf("%+v", published(again)); a != b {
		t.Errorf("remembered %s, want %s", b, a)
	}
	if info, err := os.Stat(m.file()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want a file with mode 0600", info, err)
	}
}

// published returns the exported fields of b by name.
func published(b *phpbin.Binary) map[string]any {
	fields := map[string]any{}
	v := reflect.ValueOf(*b)
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			fields[f.Name] = v.Field(i).Interface()
		}
	}
	return fields
}

func TestMemory_Changed(t *testing.T) {
	appendTo := func(t *testing.T, path, text string) {
		t.Helper()
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		writeText(t, path, string(old)+text)
	}
	// keepTimes changes a file as change does, and sets its times back.
	keepTimes := func(t *testing.T, path string, change func()) {
		t.Helper()
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		change()
		if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(*memorized){
		"content of php-cgi": func(m *memorized) { keepTimes(m.t, m.path, func() { appendTo(m.t, m.path, "x") }) },
		"another php-cgi": func(m *memorized) {
			keepTimes(m.t, m.path, func() {
				copyFile(m.t, m.path+".new", m.path, 0o755)
				if err := os.Rename(m.path+".new", m.path); err != nil {
					m.t.Fatal(err)
				}
			})
		},
		"php.ini with its size and times": func(m *memorized) {
			path := filepath.Join(m.rc, "php.ini")
			keepTimes(m.t, path, func() { writeText(m.t, path, "extension_dir="+m.extensions+"\nmemory_limit=78M\n") })
		},
		"php.ini removed":           func(m *memorized) { remove(m.t, filepath.Join(m.rc, "php.ini")) },
		"permissions of php.ini":    func(m *memorized) { chmod(m.t, filepath.Join(m.rc, "php.ini"), 0o600) },
		"the directory of php.ini":  func(m *memorized) { chmod(m.t, m.rc, 0o700) },
		"a php.ini that goes first": func(m *memorized) { writeText(m.t, filepath.Join(m.rc, "php-cgi-fcgi.ini"), "") },
		"a php.ini beside php-cgi":  func(m *memorized) { writeText(m.t, filepath.Join(filepath.Dir(m.path), "php.ini"), "") },
		"an ini file":               func(m *memorized) { appendTo(m.t, filepath.Join(m.scan, "a.ini"), "memory_limit=1G\n") },
		"a new ini file":            func(m *memorized) { writeText(m.t, filepath.Join(m.scan, "b.ini"), "") },
		"an ini file removed":       func(m *memorized) { remove(m.t, filepath.Join(m.scan, "a.ini")) },
		"an extension":              func(m *memorized) { appendTo(m.t, filepath.Join(m.extensions, "ctype.so"), "x") },
		"a new extension":           func(m *memorized) { writeText(m.t, filepath.Join(m.extensions, "x.so"), "") },
		"the option ini":            func(m *memorized) { m.o.INI = []phpbin.Setting{{Name: "precision", Value: "8"}} },
		"the option admin_ini": func(m *memorized) {
			m.o.AdminINI, m.o.AdminDirs = []phpbin.Setting{{Name: "precision", Value: "7"}}, []string{"/srv"}
		},
		"the option ini_file":     func(m *memorized) { m.o.INIFile = filepath.Join(m.rc, "php.ini") },
		"the option ini_scan_dir": func(m *memorized) { m.o.INIScanDir = &m.rc },
		"the environment":         func(m *memorized) { m.o.Env = map[string]string{"PHPRC": m.rc, "A": "b"} },
		"Caddy's environment":     func(m *memorized) { m.t.Setenv("TZ", "Asia/Tokyo") },
		"the user":                func(m *memorized) { m.o.Credential = &phpbin.Credential{UID: 65534, GID: 65534} },
		"the group": func(m *memorized) {
			m.o.Credential = &phpbin.Credential{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Groups: []uint32{4711}}
		},
		"confine":           func(m *memorized) { m.o.Confine = &phpbin.Confinement{Hidden: []string{m.scan}} },
		"working directory": func(m *memorized) { m.t.Chdir(m.t.TempDir()) },
		"path of php-cgi": func(m *memorized) {
			link := filepath.Join(m.t.TempDir(), "php-cgi")
			if err := os.Symlink(m.path, link); err != nil {
				m.t.Fatal(err)
			}
			m.path = link
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemorized(t)
			m.detect()
			if m.remembered() == nil {
				t.Fatal("nothing is remembered before the change")
			}
			change(m)
			if b := m.remembered(); b != nil {
				t.Errorf("remembered after the change: %+v", b)
			}
		})
	}
}

// What is remembered after a change is the new state.
func TestMemory_ChangedINI(t *testing.T) {
	m := newMemorized(t)
	m.detect()
	for _, limit := range []int64{78, 79} {
		writeText(t, filepath.Join(m.rc, "php.ini"), fmt.Sprintf("extension_dir=%s\nmemory_limit=%dM\n", m.extensions, limit))
		if got := m.detect().MemoryLimit; got != limit<<20 {
			t.Errorf("detected memory_limit %d, want %d MiB", got, limit)
		}
		if b := m.remembered(); b == nil || b.MemoryLimit != limit<<20 {
			t.Errorf("remembered %+v, want memory_limit %d MiB", b, limit)
		}
	}
	m.file() // replaced, not added
}

func TestMemory_BadFile(t *testing.T) {
	for name, damage := range map[string]func(m *memorized, file string){
		"empty":     func(m *memorized, file string) { writeText(m.t, file, "") },
		"truncated": func(m *memorized, file string) { writeText(m.t, file, readText(m.t, file)[:300]) },
		"a bit": func(m *memorized, file string) {
			text := []byte(readText(m.t, file))
			text[len(text)/2] ^= 1
			writeText(m.t, file, string(text))
		},
		"another text": func(m *memorized, file string) { writeText(m.t, file, "{}") },
		"a symlink": func(m *memorized, file string) {
			if err := os.Rename(file, file+".moved"); err != nil {
				m.t.Fatal(err)
			}
			if err := os.Symlink(file+".moved", file); err != nil {
				m.t.Fatal(err)
			}
		},
		"a directory": func(m *memorized, file string) {
			remove(m.t, file)
			if err := os.Mkdir(file, 0o700); err != nil {
				m.t.Fatal(err)
			}
		},
		"others may write to it":            func(m *memorized, file string) { chmod(m.t, file, 0o666) },
		"others may write to the directory": func(m *memorized, file string) { chmod(m.t, filepath.Dir(file), 0o777) },
		"another owner":                     func(m *memorized, file string) { chown(m.t, file) },
		"another owner of the directory":    func(m *memorized, file string) { chown(m.t, filepath.Dir(file)) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemorized(t)
			want := m.detect()
			damage(m, m.file())
			if b := m.remembered(); b != nil {
				t.Errorf("got %+v", b)
			}
			if got := m.detect(); got.MemoryLimit != want.MemoryLimit {
				t.Errorf("detected %+v, want %+v", got, want)
			}
		})
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func chown(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can change the owner")
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
}

// A directory that cannot be created or written to is not an error.
func TestMemory_NoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	writeText(t, file, "")
	readOnly := t.TempDir()
	chmod(t, readOnly, 0o500)
	t.Cleanup(func() { chmod(t, readOnly, 0o700) })
	for name, dir := range map[string]string{
		"none": "", "a file": file, "no parent": filepath.Join(file, "x"), "/proc": "/proc/php_pool", "read-only": readOnly,
		"for everyone": os.TempDir(),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemorized(t)
			m.memory = phpbin.FreshMemory(dir)
			if b := m.detect(); b.MemoryLimit != 77<<20 {
				t.Errorf("got %+v", b)
			}
			if b := m.remembered(); b != nil && name != "read-only" { // root may write there
				t.Errorf("got %+v", b)
			}
		})
	}
}

func TestMemory_NotRemembered(t *testing.T) {
	for name, prepare := range map[string]func(*memorized){
		"changed just now": func(m *memorized) { m.memory = phpbin.Memory{Dir: m.memory.Dir} },
		"warnings": func(m *memorized) {
			writeText(m.t, filepath.Join(m.scan, "b.ini"), "extension=no_such_thing\n")
		},
		"a script": func(m *memorized) {
			m.path = writeProgram(m.t, filepath.Join(m.t.TempDir(), "php-cgi"), "exec "+php(m.t)+` "$@"`)
		},
		"PHP's default directory too": func(m *memorized) { m.o.INIScanDir = new(":" + m.scan) },
		"an extension that a variable names": func(m *memorized) {
			m.o.Env["X"] = m.extensions
			writeText(m.t, filepath.Join(m.scan, "a.ini"), "extension=${X}/ctype.so\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemorized(t)
			prepare(m)
			m.detect()
			if b := m.remembered(); b != nil {
				t.Errorf("got %+v", b)
			}
		})
	}
}

// Processes that share a directory read a whole file or none.
func TestMemory_Concurrent(t *testing.T) {
	m := newMemorized(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				o := m.o
				b, err := m.memory.Detect(testContext(t), m.path, o)
				if err != nil || b.MemoryLimit != 77<<20 {
					t.Errorf("got %+v, %v", b, err)
				}
				if i == 0 { // the others must find it out again
					files, _ := filepath.Glob(filepath.Join(m.memory.Dir, "*"))
					for _, file := range files {
						if !strings.HasPrefix(filepath.Base(file), "new-") {
							_ = os.WriteFile(file, []byte("x"), 0o600)
						}
					}
				}
			}
		})
	}
	wg.Wait()
	m.detect()
	if m.remembered() == nil {
		t.Error("nothing is remembered")
	}
	m.file() // no temporary file is left
}

// The number of files is limited.
func TestMemory_Prune(t *testing.T) {
	m := newMemorized(t)
	if err := os.Mkdir(m.memory.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range phpbin.MaxMemories {
		writeText(t, filepath.Join(m.memory.Dir, fmt.Sprint(i)), "x")
	}
	m.detect()
	if m.remembered() == nil {
		t.Error("nothing is remembered")
	}
	entries, err := os.ReadDir(m.memory.Dir)
	if want := phpbin.MaxMemories/2 + 1; err != nil || len(entries) != want {
		t.Errorf("got %d files, %v, want %d", len(entries), err, want)
	}
}
