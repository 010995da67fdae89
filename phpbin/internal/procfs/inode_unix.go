//go:build unix

package procfs

import (
	"os"
	"syscall"
)

// Inode returns the inode of a file.
func Inode(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Ino) //nolint:unconvert // not a uint64 everywhere
	}
	return 0
}
