//go:build unix

package cgi

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// statFile returns the kind of a file. os.Stat would allocate ten times as much. The
// error is a [fs.PathError].
func statFile(path string) (fileKind, error) {
	var st unix.Stat_t
	for {
		err := unix.Stat(path, &st)
		if errors.Is(err, unix.EINTR) { // possible on a FUSE file system
			continue
		}
		if err != nil {
			return missing, &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		break
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return directory, nil
	case unix.S_IFREG:
		return regular, nil
	}
	return special, nil
}
