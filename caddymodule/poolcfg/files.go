package poolcfg

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readableFile says why a file cannot be read, without its name.
func readableFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return cause(err)
	}
	return f.Close()
}

// readableDir says why a directory cannot be listed, without its name.
func readableDir(path string) error {
	_, err := os.ReadDir(path)
	return cause(err)
}

// cause is what is wrong with a path, without the path.
func cause(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// fileSum tells one content of a file from another. A file that is gone has
// none.
func fileSum(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close() // only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// FileStates tells states of files and directories apart without reading them.
// For a directory that is what is in it, not what is in its files.
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
