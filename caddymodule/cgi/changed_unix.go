//go:build unix

package cgi

import (
	"time"

	"golang.org/x/sys/unix"
)

// changeTime returns the time of the last change of a file's content, name or mode. It
// does not follow symlinks.
func changeTime(path string) (time.Time, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return time.Time{}, err
	}
	return time.Unix(st.Ctim.Unix()), nil
}
