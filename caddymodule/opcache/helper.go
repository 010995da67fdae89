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

// helper is the script that asks PHP about itself. PHP runs files only, and
// only those with a path (doc.go says what else was tried): so the script lies
// in the directory for temporary files, in a directory of its own, while a
// worker is asked, which takes less than a millisecond. A Caddy that is killed
// in that moment leaves it; nothing else does.
//
// The name of its directory is a secret that the script asks for, and stays the
// same as long as Caddy runs, because workers remember the .user.ini of every
// directory they have seen.
type helper struct {
	// ini is the .user.ini beside the script: it keeps out what a site has in
	// php.ini to run with every script.
	ini string

	mu   sync.Mutex
	dir  string
	refs int
}

// helperINI keeps a site's own code and sessions out of the helper.
const helperINI = `auto_prepend_file = none
auto_append_file = none
session.auto_start = 0
html_errors = 0
zlib.output_compression = 0
`

// The two calls. To be asked for its status OPcache is switched off for that
// request: so the question is neither a hit nor a miss, and the answer is what
// it would have been without it. To reset it, it has to be on.
var (
	statusHelper = &helper{ini: helperINI + "opcache.enable = 0\n"}
	resetHelper  = &helper{ini: helperINI}
)

const (
	helperName    = "opcache.php"
	userININame   = ".user.ini"
	helperTries   = 3
	helperDirMode = 0o711 // to be entered, not to be read
)

// acquire makes sure that the script is there until drop, and returns its path.
func (h *helper) acquire() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refs == 0 {
		if err := h.write(); err != nil {
			return "", fmt.Errorf("writing the script that asks PHP: %w", err)
		}
	}
	h.refs++
	return filepath.Join(h.dir, helperName), nil
}

// release is the end of a hold.
func (h *helper) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refs--; h.refs == 0 {
		h.remove()
	}
}

// write makes the directory and the files in it. Nobody else can get between:
// the directory is new, ours, and closed until all is there. Where it lies
// nobody but its owner can rename it.
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
		h.dir = "" // somebody has seen the name: take another one
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
		// Whatever the umask.
		if err := os.Chmod(path, 0o644); err != nil { //nolint:gosec // G302: PHP's user has to read it, and the text is public
			return err
		}
		// OPcache keeps no script whose time it cannot tell, and takes 0 for
		// that: the helper never takes up room, in memory or in a file cache.
		if err := os.Chtimes(path, time.Time{}, time.Unix(0, 0)); err != nil {
			return err
		}
	}
	return os.Chmod(h.dir, helperDirMode)
}

func (h *helper) remove() {
	for _, path := range []string{filepath.Join(h.dir, helperName), filepath.Join(h.dir, userININame), h.dir} {
		os.Remove(path) // where it fails, hold takes another name
	}
}
