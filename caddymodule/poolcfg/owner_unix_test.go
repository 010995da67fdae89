//go:build unix

package poolcfg

import (
	"io/fs"
	"syscall"
)

// fileOwner returns the owner of a file.
func fileOwner(info fs.FileInfo) (uid uint32) { return info.Sys().(*syscall.Stat_t).Uid }
