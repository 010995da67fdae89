package phpbin

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Memory remembers in files what [Detect] has found out, so that the next start of this
// process need not run php-cgi for that. Nothing is trusted after anything has changed
// that the result depends on: the program that asks, php-cgi, its extensions and the
// libraries of the system, the ini files and the places where PHP looks for them, the
// options, the user, the environment, and the boot of the machine. What cannot be checked
// that way is not remembered: a php-cgi that is a script or starts another one, and one
// with startup warnings. It needs Linux; elsewhere nothing is remembered.
type Memory struct {
	// Dir is an absolute path; it is created with mode 0700 if its parent exists. A user
	// who can write to it decides what is found, so PHP must not. Files of another user,
	// and those that others may write to, are ignored. With "" nothing is remembered.
	Dir string

	// fresh means that files count that were changed just now. It is for tests.
	fresh bool
}

const (
	// settleTime is how old the last change of a file must be. A file system may give
	// two changes in a row the same time.
	settleTime = 2 * time.Second

	// maxMemory limits the size of a file, maxMemories their number: each set of options
	// has its own.
	maxMemory   = 1 << 20
	maxMemories = 512
)

// memoryFile is the content of a file, behind a line with its hash.
type memoryFile struct {
	Key      string
	Binary   *Binary
	Settings map[string]string // see Binary.Setting
	Inputs   map[string]string // states of files, by path
}

// Detect is like the function [Detect]. If the memory cannot be used, php-cgi runs.
func (m Memory) Detect(ctx context.Context, path string, o Options) (*Binary, error) {
	key := m.key(path, o)
	if key == "" {
		return Detect(ctx, path, o)
	}
	if b := m.load(key, path); b != nil {
		return b, nil
	}
	start := time.Now()
	b, err := Detect(ctx, path, o)
	if err == nil {
		m.store(key, b, o, start)
	}
	return b, err
}

// key returns a hash of what the result depends on and is known before; "" if nothing can
// be remembered.
func (m Memory) key(path string, o Options) string {
	if m.Dir == "" || !filepath.IsAbs(path) {
		return ""
	}
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	program, boot := fileState(self), bootID()
	if program == "" || boot == "" {
		return ""
	}
	o.Binary = path
	names := ""
	if o.Confine != nil {
		names = o.Confine.Names()
	}
	text, err := json.Marshal([]any{
		self, program, boot, dir, path, o.Args(), o.Environ(), o.Credential, os.Geteuid(), o.Confine, names,
	})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// load returns what is remembered for the key, nil if there is nothing or it cannot be
// trusted.
func (m Memory) load(key, path string) *Binary {
	dir, err := openOwnDir(m.Dir)
	if err != nil {
		return nil
	}
	defer dir.Close()
	info, err := dir.Lstat(key)
	if err != nil || !isOwnFile(info) || info.Size() > maxMemory {
		return nil
	}
	text, err := dir.ReadFile(key)
	if err != nil {
		return nil
	}
	sum, body, ok := bytes.Cut(text, []byte("\n"))
	if !ok || string(sum) != hashOf(body) {
		return nil
	}
	var f memoryFile
	if json.Unmarshal(body, &f) != nil || f.Key != key || f.Binary == nil || f.Binary.Path != path || len(f.Inputs) == 0 {
		return nil
	}
	for input, state := range f.Inputs {
		if inputState(input) != state {
			return nil
		}
	}
	b := f.Binary
	b.settings = f.Settings
	if b.stat() != nil {
		return nil
	}
	return b
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// store remembers what a run of php-cgi that began at start has found out.
func (m Memory) store(key string, b *Binary, o Options, start time.Time) {
	inputs, ok := memoryInputs(b, o)
	if !ok || !isPHPItself(b) {
		return
	}
	f := memoryFile{Key: key, Binary: b, Settings: b.settings, Inputs: map[string]string{}}
	for _, input := range inputs {
		state := inputState(input)
		if state == "" || !m.fresh && changedSince(input, start.Add(-settleTime)) {
			return
		}
		f.Inputs[input] = state
	}
	body, err := json.Marshal(f)
	if err != nil || len(body) > maxMemory-sha256.Size*2-1 {
		return
	}
	if _, err := os.Lstat(m.Dir); err != nil && os.Mkdir(m.Dir, 0o700) != nil {
		return
	}
	dir, err := openOwnDir(m.Dir)
	if err != nil {
		return
	}
	defer dir.Close()
	pruneMemories(dir)
	replaceFile(dir, key, []byte(hashOf(body)+"\n"+string(body)))
}

// replaceFile replaces a file as a whole, because another process may read it.
func replaceFile(dir *os.Root, name string, text []byte) {
	fresh := "new-" + rand.Text()
	f, err := dir.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	_, err = f.Write(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = dir.Rename(fresh, name)
	}
	if err != nil {
		_ = dir.Remove(fresh)
	}
}

// pruneMemories removes the older half of the files if there are too many.
func pruneMemories(dir *os.Root) {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil || len(entries) < maxMemories {
		return
	}
	written := map[string]time.Time{}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			written[e.Name()] = info.ModTime()
		}
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return written[a.Name()].Compare(written[b.Name()]) })
	for _, e := range entries[:len(entries)/2] {
		_ = dir.Remove(e.Name())
	}
}

// iniNames are the names under which PHP looks for its php.ini (main/php_ini.c).
var iniNames = []string{"php.ini", "php-" + cgiSAPI + ".ini"}

// memoryInputs returns the files and directories that decided on b, also those that are
// missing. ok is false if they are unknown.
func memoryInputs(b *Binary, o Options) (list []string, ok bool) {
	if len(b.Warnings) > 0 || b.unsteady || !filepath.IsAbs(b.extensionDir) {
		return nil, false
	}
	scanned := filepath.SplitList(b.INIScanDir)
	if b.INIScanDir != "" && slices.Contains(scanned, "") {
		return nil, false // also PHP's default, which phpinfo() does not show
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, false
	}
	list = []string{b.Path, b.extensionDir, "/etc/ld.so.cache", "/lib", "/usr/lib", "/usr/local/lib"}
	for i, place := range []string{o.Env["PHPRC"], o.INIFile, dir, filepath.Dir(b.Path), b.INIPath} {
		if place == "" {
			continue
		}
		if i < 2 { // it may be a file
			list = append(list, place)
		}
		for _, name := range iniNames {
			list = append(list, filepath.Join(place, name))
		}
	}
	list = append(slices.Concat(list, scanned), b.INIFiles()...)
	for _, file := range b.ScannedFiles {
		list = append(list, filepath.Dir(file))
	}
	modules, err := os.ReadDir(b.extensionDir)
	if err != nil {
		return nil, false
	}
	for _, module := range modules {
		list = append(list, filepath.Join(b.extensionDir, module.Name()))
	}
	settings := slices.Concat(o.INI, o.AdminINI)
	for _, file := range b.INIFiles() {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, false
		}
		settings = append(settings, ParseINI(string(text))...)
	}
	for _, s := range settings {
		if loadsExtension(s.Name) && strings.ContainsAny(s.Value, "/$") {
			list = append(list, s.Value)
		}
	}
	for _, path := range list {
		if !filepath.IsAbs(path) {
			return nil, false
		}
	}
	slices.Sort(list)
	return slices.Compact(list), true
}

// isPHPItself reports whether the file contains its own version, as php-cgi does for the
// header X-Powered-By. One that starts another php-cgi does not, and nobody knows what
// its choice depends on.
func isPHPItself(b *Binary) bool {
	text, err := os.ReadFile(b.Path)
	return err == nil && bytes.HasPrefix(text, []byte("\x7fELF")) && bytes.Contains(text, []byte("PHP/"+b.VersionText))
}
