//go:build unix

package fpm

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// notifyEnv has the value of NOTIFY_SOCKET.
const notifyEnv = "PHP_POOL_FPM_NOTIFY"

// ownNotify keeps Caddy from notifying systemd: Caddy reports READY=1 after a start that
// has failed, too. The variable is read when Caddy's packages are initialized, so the
// process executes itself once more without it.
func ownNotify() error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	os.Unsetenv("NOTIFY_SOCKET")
	return unix.Exec(program, os.Args, append(os.Environ(), notifyEnv+"="+socket))
}

// notifier sends the states of sd_notify(3).
type notifier string

// newNotifier takes the socket from the environment, which PHP may inherit.
func newNotifier() notifier {
	socket := os.Getenv(notifyEnv)
	os.Unsetenv(notifyEnv)
	return notifier(socket)
}

func (n notifier) send(format string, args ...any) {
	if n == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: string(n), Net: "unixgram"})
	if err != nil {
		logf(levelWarn, "notifying systemd: %v", err)
		return
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, format, args...); err != nil {
		logf(levelWarn, "notifying systemd: %v", err)
	}
}

func (n notifier) ready(status string) { n.send("READY=1\nSTATUS=%s", status) }

// reloading reports the time too, which Type=notify-reload needs.
func (n notifier) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return
	}
	n.send("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000)
}

func (n notifier) stopping() { n.send("STOPPING=1") }
