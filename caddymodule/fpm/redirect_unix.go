//go:build unix && !linux

package fpm

import (
	"os"

	"golang.org/x/sys/unix"
)

// redirect makes one file the same as another.
func redirect(from, to *os.File) error { return unix.Dup2(int(from.Fd()), int(to.Fd())) }
