package phpbin

import "strings"

// TopLevelDirs lists all drives that there can be, in the lower case that PHP compares
// in. A share has none, and so no settings of the administrator.
func TopLevelDirs() ([]string, error) {
	var dirs []string
	for drive := 'a'; drive <= 'z'; drive++ {
		dirs = append(dirs, string(drive)+":")
	}
	return dirs, nil
}

// TopLevelDir is the part of a script's absolute path that PHP would have to find
// among [Options.AdminDirs].
func TopLevelDir(path string) string {
	if i := strings.IndexAny(path, `/\`); i >= 0 {
		path = path[:i]
	}
	return strings.ToLower(path)
}
