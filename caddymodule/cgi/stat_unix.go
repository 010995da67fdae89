//go:build unix

package cgi

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// fileID tells a file from all others that exist at the same time; its zero
// value tells nothing.
type fileID struct{ dev, ino uint64 }

// statFile is os.Stat for those who want to know no more than this: it allocates
// a tenth.
func statFile(path string) (kind, fileID, error) {
	var st unix.Stat_t
	for {
		err := unix.Stat(path, &st)
		if errors.Is(err, unix.EINTR) { // a file system in user space
			continue
		}
		if err != nil {
			return nothing, fileID{}, &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		break
	}
	id := fileID{uint64(st.Dev), st.Ino} //nolint:unconvert // macOS has another type
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return directory, id, nil
	case unix.S_IFREG:
		return file, id, nil
	}
	return special, id, nil
}
