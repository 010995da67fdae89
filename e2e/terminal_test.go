//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gdamore/tcell/v3/vt"
	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// terminal is a pseudo-terminal with a program, and an emulator that displays its
// output.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	slave  *os.File
	before unix.Termios
	screen vt.MockTerm

	mu     sync.Mutex
	output bytes.Buffer // the whole output
}

const (
	columns = 110
	lines   = 16
)

// onTerminal starts a program as a shell in a terminal would.
func onTerminal(t *testing.T, c harness.Command) *terminal {
	t.Helper()
	tt := &terminal{t: t, screen: vt.NewMockTerm(vt.MockOptSize{X: columns, Y: lines})}
	tt.open()
	tt.cmd = exec.CommandContext(t.Context(), c.Args[0], c.Args[1:]...)
	tt.cmd.Env, tt.cmd.Dir = append(slices.Clone(c.Env), "TERM=xterm-256color", "LANG=C.UTF-8"), c.Dir
	tt.cmd.Stdin, tt.cmd.Stdout = tt.slave, tt.slave
	tt.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := tt.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := tt.screen.Start(); err != nil {
		t.Fatal(err)
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { io.Copy(tt, tt.master) })
	pumps.Go(func() { io.Copy(tt.master, tt.screen) })
	t.Cleanup(func() {
		tt.slave.Close()
		tt.master.Close()
		tt.screen.Stop()
		pumps.Wait()
	})
	return tt
}

// open creates the pseudo-terminal, see pts(4).
func (tt *terminal) open() {
	tt.t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		tt.t.Fatal("/dev/ptmx:", err)
	}
	tt.master = os.NewFile(uintptr(fd), "/dev/ptmx")
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: lines, Col: columns})
	}
	if err == nil {
		tt.slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		tt.t.Fatal("a pseudo-terminal:", err)
	}
	tt.before = tt.settings()
}

// Write displays output of the program.
func (tt *terminal) Write(p []byte) (int, error) {
	tt.mu.Lock()
	tt.output.Write(p)
	tt.mu.Unlock()
	return tt.screen.Write(p)
}

func (tt *terminal) settings() unix.Termios {
	tt.t.Helper()
	settings, err := unix.IoctlGetTermios(int(tt.slave.Fd()), unix.TCGETS)
	if err != nil {
		tt.t.Fatal(err)
	}
	return *settings
}

// text returns the contents of the screen.
func (tt *terminal) text() string {
	var b strings.Builder
	for y := range lines {
		var row strings.Builder
		for x := range columns {
			cell := tt.screen.GetCell(vt.Coord{X: vt.Col(x), Y: vt.Row(y)})
			if cell.C == "" {
				cell.C = " "
			}
			row.WriteString(cell.C)
		}
		b.WriteString(strings.TrimRight(row.String(), " ") + "\n")
	}
	return b.String()
}

// shows waits until all texts are on the screen.
func (tt *terminal) shows(texts ...string) {
	tt.t.Helper()
	harness.Eventually(tt.t, func() error {
		for _, text := range texts {
			if screen := tt.text(); !strings.Contains(screen, text) {
				return fmt.Errorf("%q is not on the screen:\n%s", text, screen)
			}
		}
		return nil
	})
}

// ended waits until the program exits, and checks that it restored the terminal.
func (tt *terminal) ended() {
	tt.t.Helper()
	done := make(chan error, 1)
	go func() { done <- tt.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			tt.t.Errorf("%s: %v", tt.cmd.Args, err)
		}
	case <-time.After(harness.MaxWait):
		tt.t.Fatalf("%s does not end", tt.cmd.Args)
	}
	if now := tt.settings(); now != tt.before {
		tt.t.Errorf("the terminal's settings were %+v and are %+v", tt.before, now)
	}
	harness.Eventually(tt.t, func() error {
		tt.mu.Lock()
		defer tt.mu.Unlock()
		out := tt.output.String()
		for on, off := range map[string]string{"\x1b[?1049h": "\x1b[?1049l", "\x1b[?25l": "\x1b[?25h"} {
			if !strings.Contains(out, on) || strings.LastIndex(out, off) < strings.LastIndex(out, on) {
				return fmt.Errorf("%q is not undone by %q at the end: %q", on, off, out[max(0, len(out)-200):])
			}
		}
		return nil
	})
}

// TestTop_Terminal runs top, presses its keys, and stops it by key and by signal.
func TestTop_Terminal(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 2"))
	s.Get("/hello.php").Want(t, 200, "hello\n")
	s.StartBlocked("wait.php")

	tt := onTerminal(t, s.Command("php-pool", "top", "--interval", "100ms"))
	tt.shows("all pools, by seconds, every 100ms", "1 pool: 1 busy, 1 idle, at most 2", "CPU%", "GET /wait.php", "q quit")
	if now := tt.settings(); now == tt.before {
		t.Error("the terminal is not in raw mode while top runs")
	}
	for key, want := range map[vt.Key]string{vt.KeyM: "by memory", vt.KeyC: "by cpu", vt.KeyR: "by requests", vt.KeyP: "pool main"} {
		tt.screen.KeyTap(key)
		tt.shows(want)
	}
	s.StartBlocked("busy.php") // a second one
	tt.shows("2 busy, 0 idle", "GET /busy.php")
	tt.screen.KeyTap(vt.KeyQ)
	tt.ended()

	tt = onTerminal(t, s.Command("php-pool", "top"))
	tt.shows("GET /busy.php")
	if err := tt.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	tt.ended()
}

// TestTop_SurvivesCaddyExit checks what top shows after Caddy has exited.
func TestTop_SurvivesCaddyExit(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 1"))
	tt := onTerminal(t, s.Command("php-pool", "top", "--interval", "100ms"))
	tt.shows("1 pool: 0 busy, 1 idle")
	s.Stop(syscall.SIGTERM)
	tt.shows("no Caddy responds at unix/")
	tt.screen.KeyTap(vt.KeyLCtrl, vt.KeyC)
	tt.ended()
}
