package cgi

import "os"

// fileID would tell a file from all others; Windows tells that only of a file
// that is open.
type fileID struct{}

// statFile says what a path leads to.
func statFile(path string) (kind, fileID, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nothing, fileID{}, err
	case info.IsDir():
		return directory, fileID{}, nil
	case info.Mode().IsRegular():
		return file, fileID{}, nil
	}
	return special, fileID{}, nil
}
