//go:build unix

package doctor

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// mayWrite says why a user cannot make files in a directory; nil is whoever we
// are.
func mayWrite(dir string, who *phpbin.Credential) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case who == nil || int(who.UID) == os.Geteuid():
		if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			return &fs.PathError{Op: "access", Path: dir, Err: err}
		}
		return nil
	case who.UID == 0:
		return nil
	}
	st := ownerOf(info)
	const writeAndEnter = 3
	need := fs.FileMode(writeAndEnter)
	switch {
	case st.Uid == who.UID:
		need <<= 6
	case st.Gid == who.GID, slices.Contains(who.Groups, st.Gid):
		need <<= 3
	}
	if info.Mode().Perm()&need != need {
		return fmt.Errorf("it belongs to user %d, group %d with mode %v, and PHP runs as user %d",
			st.Uid, st.Gid, info.Mode(), who.UID)
	}
	return nil
}

// ownerOf has the owner of a file in it; os.Stat on Unix always has that.
func ownerOf(info fs.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }
