//go:build unix

package listener

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// stat returns the type of a file. os.Stat would allocate more.
func stat(path string) (fs.FileMode, error) {
	var st unix.Stat_t
	for {
		err := unix.Stat(path, &st)
		switch {
		case errors.Is(err, unix.EINTR): // possible on a FUSE file system
			continue
		case err != nil:
			return 0, err
		case st.Mode&unix.S_IFMT == unix.S_IFREG:
			return 0, nil
		}
		return fs.ModeIrregular, nil
	}
}
