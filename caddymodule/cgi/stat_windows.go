package cgi

import "os"

// fileID is always unknown: Windows identifies open files only.
type fileID struct{}

// statFile returns the kind of a file. The error is a [fs.PathError].
func statFile(path string) (fileKind, fileID, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return missing, fileID{}, err
	case info.IsDir():
		return directory, fileID{}, nil
	case info.Mode().IsRegular():
		return regular, fileID{}, nil
	}
	return special, fileID{}, nil
}
