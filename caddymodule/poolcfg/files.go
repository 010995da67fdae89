package poolcfg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// readableFile returns an error, without the path, if a file cannot be read.
func readableFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return cause(err)
	}
	return f.Close()
}

// readableDir returns an error, without the path, if a directory cannot be listed.
func readableDir(path string) error {
	_, err := os.ReadDir(path)
	return cause(err)
}

// cause removes the path from an error of the file system.
func cause(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// FileStates returns a text for each file or directory that differs after the file has
// changed, or after a file was added to or removed from the directory. It reads no
// content.
func FileStates(paths []string) map[string]string {
	states := map[string]string{}
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			states[path] = cause(err).Error()
		case info.IsDir():
			states[path] = info.ModTime().String()
		default:
			states[path] = fmt.Sprint(info.ModTime(), info.Size(), info.Mode())
		}
	}
	return states
}
