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

// checkWritable says why a user cannot make files in a directory; nil is whoever we
// are.
func checkWritable(dir string, user *phpbin.Credential) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case user == nil || int(user.UID) == os.Geteuid():
		if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			return &fs.PathError{Op: "access", Path: dir, Err: err}
		}
		return nil
	case user.UID == 0:
		return nil
	}
	st := owner(info)
	const writeAndEnter = 3
	need := fs.FileMode(writeAndEnter)
	switch {
	case st.Uid == user.UID:
		need <<= 6
	case st.Gid == user.GID, slices.Contains(user.Groups, st.Gid):
		need <<= 3
	}
	if info.Mode().Perm()&need != need {
		return fmt.Errorf("it belongs to user %d, group %d with mode %v, and PHP runs as user %d",
			st.Uid, st.Gid, info.Mode(), user.UID)
	}
	return nil
}

// owner has the owner of a file in it; os.Stat on Unix always has that.
func owner(info fs.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }
