//go:build unix

package poolcfg

import (
	"io/fs"
	"syscall"
)

// fileOwner tells to whom a file belongs.
func fileOwner(info fs.FileInfo) (uid, gid uint32, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return st.Uid, st.Gid, true
}
