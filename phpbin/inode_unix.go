//go:build unix

package phpbin

import (
	"os"
	"syscall"
)

func inode(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Ino) //nolint:unconvert // not a uint64 everywhere
	}
	return 0
}
