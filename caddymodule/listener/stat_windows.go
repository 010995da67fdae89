package listener

import (
	"io/fs"
	"os"
)

// stat returns the type of a file.
func stat(path string) (fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Mode(), nil
}
