//go:build unix

package phpbin

import (
	"os"
	"strings"
)

// TopLevelDirs lists the directories, and the links that may lead to one, in the root
// of the file system: one of them begins the path of every script, however its
// links are resolved.
func TopLevelDirs() ([]string, error) {
	entries, err := os.ReadDir("/")
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() || e.Type()&os.ModeSymlink != 0 {
			dirs = append(dirs, "/"+e.Name())
		}
	}
	return dirs, nil
}

// TopLevelDir is the part of a script's absolute path that PHP would have to find
// among [Options.AdminDirs]: up to the second slash, whatever that makes.
func TopLevelDir(path string) string {
	if path == "" {
		return ""
	}
	i := strings.IndexByte(path[1:], '/')
	return path[:i+1]
}
