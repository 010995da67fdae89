//go:build unix

package cgi

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// fileID identifies a file among all files that exist at the same time. Its zero
// value means that the identity is unknown.
type fileID struct{ dev, ino uint64 }

// statFile returns the kind and the identity of a file. os.Stat would allocate ten
// times as much. The error is a [fs.PathError].
func statFile(path string) (fileKind, fileID, error) {
	var st unix.Stat_t
	for {
		err := unix.Stat(path, &st)
		if errors.Is(err, unix.EINTR) { // possible on a FUSE file system
			continue
		}
		if err != nil {
			return missing, fileID{}, &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		break
	}
	id := fileID{uint64(st.Dev), st.Ino} //nolint:unconvert // macOS has another type
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return directory, id, nil
	case unix.S_IFREG:
		return regular, id, nil
	}
	return special, id, nil
}
