//go:build unix

package fpm

import (
	"errors"
	"io"
	"os"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(LogFile{}) }

// LogFile writes log entries to a file that SIGUSR1 opens again, as php-fpm's slowlog. It
// is for `caddy php-pool fpm`; sites use Caddy's `file`.
type LogFile struct {
	// The path of the file.
	Filename string `json:"filename,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (LogFile) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.php_fpm", New: func() caddy.Module { return new(LogFile) }}
}

// UnmarshalCaddyfile parses `output php_fpm <path>`.
func (f *LogFile) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if !d.AllArgs(&f.Filename) {
		return d.ArgErr()
	}
	return nil
}

func (f LogFile) String() string { return f.Filename }

// WriterKey implements [caddy.WriterOpener].
func (f LogFile) WriterKey() string { return "php_fpm:" + f.Filename }

// OpenWriter opens the file.
func (f LogFile) OpenWriter() (io.WriteCloser, error) {
	file, err := openLog(f.Filename)
	if err != nil {
		return nil, err
	}
	w := &logFile{file: file}
	openFilesMu.Lock()
	defer openFilesMu.Unlock()
	openFiles[w] = struct{}{}
	return w, nil
}

// logFile is an open LogFile.
type logFile struct {
	mu   sync.Mutex
	file *os.File
}

var (
	openFilesMu sync.Mutex
	openFiles   = map[*logFile]struct{}{}
)

// Write writes an entry. An encoder may have nothing to write.
func (w *logFile) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.file.Write(p)
}

// Close closes the file.
func (w *logFile) Close() error {
	openFilesMu.Lock()
	delete(openFiles, w)
	openFilesMu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.file.Close()
}

// reopenFiles opens all log files again. A file that cannot be opened stays as it is.
func reopenFiles() error {
	openFilesMu.Lock()
	defer openFilesMu.Unlock()
	var errs []error
	for w := range openFiles {
		errs = append(errs, w.reopen())
	}
	return errors.Join(errs...)
}

func (w *logFile) reopen() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	file, err := openLog(w.file.Name())
	if err != nil {
		return err
	}
	w.file.Close() // it is replaced
	w.file = file
	return nil
}

// Interface guards
var (
	_ caddy.WriterOpener    = (*LogFile)(nil)
	_ caddyfile.Unmarshaler = (*LogFile)(nil)
)
