package opcache

import (
	"crypto/rand"
	_ "embed" // the helper script
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

//go:embed opcache.php
var script []byte

// helper is the helper script on disk. It exists while a worker is queried, usually
// for less than a millisecond, in its own directory below the one for temporary
// files. It is left behind only if Caddy is killed in that moment.
//
// The name of its directory is a secret that the script requires in its request. It
// stays the same while Caddy runs, because workers cache the .user.ini of every
// directory.
type helper struct {
	// ini is the content of the .user.ini next to the script.
	ini string

	mu   sync.Mutex
	dir  string
	refs int
}

// helperINI keeps the site's own code and sessions out of the helper script,
// whatever the site's php.ini runs with every script. Xdebug must neither connect to
// an IDE nor write a profile: the settings after the first one are those of Xdebug 2.
const helperINI = `auto_prepend_file = none
auto_append_file = none
session.auto_start = 0
html_errors = 0
zlib.output_compression = 0
xdebug.start_with_request = no
xdebug.start_upon_error = no
xdebug.remote_enable = 0
xdebug.remote_autostart = 0
xdebug.profiler_enable = 0
xdebug.auto_trace = 0
`

// statusHelper disables OPcache for its request, so that the query is neither a hit
// nor a miss and does not change the result. For a reset OPcache must be enabled.
var (
	statusHelper = &helper{ini: helperINI + "opcache.enable = 0\n"}
	resetHelper  = &helper{ini: helperINI}
)

const (
	helperName    = "opcache.php"
	userININame   = ".user.ini"
	helperTries   = 3
	helperDirMode = 0o711 // others may enter it, but not list it
)

// acquire returns the path of the script, which exists until release is called.
func (h *helper) acquire() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refs == 0 {
		if err := h.write(); err != nil {
			return "", fmt.Errorf("writing the OPcache helper script: %w", err)
		}
	}
	h.refs++
	return filepath.Join(h.dir, helperName), nil
}

// release undoes acquire.
func (h *helper) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refs--; h.refs == 0 {
		h.remove()
	}
}

// write creates the directory and its files. No other user can interfere: the
// directory is new, ours, and not accessible until all files are written, and the
// directory above it lets only the owner rename it.
func (h *helper) write() (err error) {
	temp := os.TempDir()
	if err := checkSticky(temp); err != nil {
		return err
	}
	for range helperTries {
		if h.dir == "" {
			h.dir = filepath.Join(temp, "php_pool-"+rand.Text())
		}
		if err = os.Mkdir(h.dir, 0o700); err == nil || !errors.Is(err, fs.ErrExist) {
			break
		}
		h.dir = "" // another user has guessed or seen the name: use a new one
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			h.remove()
		}
	}()
	for name, text := range map[string][]byte{helperName: script, userININame: []byte(h.ini)} {
		path := filepath.Join(h.dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return err
		}
		// The mode of WriteFile depends on the umask.
		if err := os.Chmod(path, 0o644); err != nil { //nolint:gosec // G302: PHP's user must be able to read it, and the text is public
			return err
		}
		// OPcache does not cache a script whose modification time is 0, which it
		// treats as unknown, so the helper uses no memory and no file cache.
		if err := os.Chtimes(path, time.Time{}, time.Unix(0, 0)); err != nil {
			return err
		}
	}
	return os.Chmod(h.dir, helperDirMode)
}

// remove deletes the files and the directory.
func (h *helper) remove() {
	for _, path := range []string{filepath.Join(h.dir, helperName), filepath.Join(h.dir, userININame), h.dir} {
		os.Remove(path) // if this fails, write uses a new name
	}
}
