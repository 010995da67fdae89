package cgi

import (
	"os"
	"time"
)

// changeTime returns the time of the last change of a file's content; Windows keeps no
// other one. It does not follow symlinks.
func changeTime(path string) (time.Time, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}
