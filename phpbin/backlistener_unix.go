//go:build unix

package phpbin

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// listen opens a socket beside the prelude, which php-cgi can reach too.
func (l *backListener) listen(g *group, number int) error {
	path, err := g.workerFile(number, "")
	if err != nil {
		return err
	}
	if limit := len(unix.RawSockaddrUnix{}.Path) - 1; len(path) > limit {
		return fmt.Errorf("the path of the socket for the worker script is too long: %s has %d bytes, and at most %d are allowed: "+
			"use a directory with a shorter path (RuntimeDir or TMPDIR)", path, len(path), limit)
	}
	if l.Listener, err = net.Listen("unix", path); err != nil {
		return fmt.Errorf("opening a socket for the worker script: %w", err)
	}
	l.address = "unix://" + path
	return g.giveToPHP(path)
}

// workerFile returns the path of a file of a worker script, beside the prelude.
func (g *group) workerFile(number int, extension string) (string, error) {
	return filepath.Abs(filepath.Join(g.prelude, fmt.Sprintf("w%d%s", number, extension)))
}

// giveToPHP makes a file one that only the user of php-cgi may use.
func (g *group) giveToPHP(path string) error {
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	if c := g.opts.Credential; c != nil {
		return Grant(path, c)
	}
	return nil
}
