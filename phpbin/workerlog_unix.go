//go:build unix

package phpbin

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// open creates a FIFO beside the prelude. It is opened for writing too, so that it does
// not end when PHP closes it, which it does after each message.
func (l *WorkerLog) open(g *group, number int) error {
	path, err := g.workerFile(number, ".log")
	if err != nil {
		return err
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return fmt.Errorf("creating a FIFO for PHP's error log: %w", err)
	}
	if err = g.giveToPHP(path); err == nil {
		l.file, err = os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	}
	if err == nil {
		l.rc, err = l.file.SyscallConn()
	}
	if err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("opening a FIFO for PHP's error log: %w", err)
	}
	l.name = path
	return nil
}

// readFIFO reads without blocking. It returns 0 if nothing has arrived.
func readFIFO(fd int, p []byte) int {
	for {
		n, err := unix.Read(fd, p)
		if !errors.Is(err, unix.EINTR) {
			return n
		}
	}
}
