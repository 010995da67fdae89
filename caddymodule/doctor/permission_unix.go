//go:build unix

package doctor

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// checkWritable returns an error if the user cannot create files in a directory.
// A nil user means the current one.
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
	const writeAndEnter = 3
	if bits, _ := user.Permissions(info); bits&writeAndEnter != writeAndEnter {
		st := owner(info)
		return fmt.Errorf("it belongs to user %d and group %d with mode %v, but PHP runs as user %d",
			st.Uid, st.Gid, info.Mode(), user.UID)
	}
	return nil
}

// owner returns the part of a FileInfo with user and group; on Unix os.Stat always sets it.
func owner(info fs.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }
