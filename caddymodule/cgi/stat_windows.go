package cgi

import "os"

// statFile returns the kind of a file. The error is a [fs.PathError].
func statFile(path string) (fileKind, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return missing, err
	case info.IsDir():
		return directory, nil
	case info.Mode().IsRegular():
		return regular, nil
	}
	return special, nil
}
