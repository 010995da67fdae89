package phpbin

import (
	"os"
	"os/exec"
)

// withoutTerminal makes cmd start without our controlling terminal, if we have
// one: "caddy run" by hand. A program that a script runs and that asks for a
// password (git, ssh) would be stopped by the terminal for ever, and PHP as
// another user could type into root's terminal (TIOCSTI).
//
// A session of its own would do, but then the watchdog could not join its
// process group. Go can give the terminal up (Noctty) only if it is fd 0, which
// is where php-cgi wants its socket, so a shell moves that there. The returned
// function is to be called after the start.
func withoutTerminal(cmd *exec.Cmd) func() {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return func() {}
	}
	socket, ok := cmd.Stdin.(*os.File)
	if !ok {
		return func() { _ = tty.Close() }
	}
	cmd.Stdin, cmd.ExtraFiles = tty, []*os.File{socket} // fd 3
	cmd.SysProcAttr.Noctty = true
	cmd.Args = append([]string{"/bin/sh", "-c", `exec "$@" <&3 3<&-`, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return func() { _ = tty.Close() }
}
