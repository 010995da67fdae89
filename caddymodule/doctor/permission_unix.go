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

// SameUserRemedy says how to separate PHP from Caddy.
const SameUserRemedy = "let Caddy start PHP as www-data (docs/operations.md has the drop-in for `systemctl edit caddy`), " +
	"or make sure that all sites trust each other"

// SharedUserRemedy says how to separate pools from each other.
const SharedUserRemedy = "give each pool its own user"

// installExtension says how to install an extension, by its name without suffix.
func installExtension(name string) string {
	return "install it (Debian, Ubuntu: apt install php-" + name + ")"
}

// installOPcache says how to install OPcache for a PHP version such as 8.2.
func installOPcache(version string) string {
	return "install the extension (Debian: apt install php" + version + "-opcache) and load it with `zend_extension=opcache` in an ini file"
}

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
