//go:build linux

package webservers

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// passSocket as the first argument makes the test binary listen on a Unix socket and
// run a command with it as file descriptor 3, as systemd does.
const passSocket = "pass-socket"

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == passSocket {
		fmt.Fprintln(os.Stderr, runWithSocket(os.Args[2], os.Args[3:]))
		os.Exit(1)
	}
	harness.Main(m)
}

// runWithSocket returns only if it fails.
func runWithSocket(path string, args []string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	f, err := l.File()
	if err != nil {
		return err
	}
	// It may be 3 already; only dup2 of another one clears its close-on-exec flag.
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return err
	}
	if err := syscall.Dup3(fd, 3, 0); err != nil {
		return err
	}
	return syscall.Exec(args[0], args, os.Environ())
}
