package confine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// rule allows what is below a path.
type rule struct {
	path string
	dir  bool
	id   string // changes if the path becomes that of another file
}

// rules returns the rules that allow everything but the hidden paths: Landlock can only
// allow. It descends along the parents of the hidden paths. Symbolic links need no rule,
// because the kernel checks what they point to.
func (c Config) rules() []rule {
	hidden := resolveAll(c.Hidden)
	var list []rule
	var descend func(dir string)
	descend = func(dir string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return
		}
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			switch {
			case entry.Type()&os.ModeSymlink != 0, slices.Contains(hidden, path):
			case slices.ContainsFunc(hidden, func(h string) bool { return strings.HasPrefix(h, path+"/") }):
				descend(path)
			default:
				list = append(list, newRule(path, entry))
			}
		}
	}
	descend("/")
	return list
}

func newRule(path string, entry os.DirEntry) rule {
	r := rule{path: path, dir: entry.IsDir()}
	if info, err := entry.Info(); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			r.id = fmt.Sprint(st.Dev, " ", st.Ino)
		}
	}
	return r
}

// Names returns a text that changes when a file or directory is created, replaced or
// removed beside a hidden path or one of its parents: from then on c means another set
// of rules.
func Names(c Config) string {
	if c.OnlyPorts {
		return ""
	}
	var b strings.Builder
	for _, r := range c.rules() {
		b.WriteString(r.line())
	}
	return b.String()
}

// Explain returns the reason why a thread with these rules cannot use a path, if names
// has the result of Names from when it was confined; nil if they allow it.
func Explain(c Config, names, path string) error {
	if c.OnlyPorts {
		return nil
	}
	path = resolve(filepath.Clean(path))
	for _, allowed := range resolveAll(c.Allowed) {
		if path == allowed || strings.HasPrefix(path, allowed+"/") {
			return nil
		}
	}
	for _, r := range c.rules() {
		if path != r.path && !strings.HasPrefix(path, r.path+"/") {
			continue
		}
		if strings.Contains("\n"+names, "\n"+r.line()) {
			return nil
		}
		return fmt.Errorf("%s was created or replaced after PHP was confined, in a directory that contains a hidden path", r.path)
	}
	return fmt.Errorf("%s is hidden from PHP", path)
}

func (r rule) line() string { return r.path + "\x00" + r.id + "\n" }

// resolveAll resolves symbolic links. Of a path that does not exist it resolves the part
// that does.
func resolveAll(paths []string) []string {
	list := make([]string, len(paths))
	for i, path := range paths {
		list[i] = resolve(filepath.Clean(path))
	}
	return list
}

func resolve(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	if dir := filepath.Dir(path); dir != path {
		return filepath.Join(resolve(dir), filepath.Base(path))
	}
	return path
}

// unsteady are directories whose files are replaced or created while PHP runs, which
// it needs: /etc/resolv.conf, temporary files, devices. Nothing in them can be hidden,
// because that closes what is new.
var unsteady = []string{"/etc", "/tmp", "/var/tmp", "/dev", "/proc", "/sys"}

// CheckHidden returns an error if a path cannot be hidden, with the reason. temp are
// further directories in which PHP creates files.
func CheckHidden(path string, temp []string) error {
	path = resolve(filepath.Clean(path))
	if path == "/" {
		return errors.New("it is the root directory")
	}
	for _, dir := range slices.Concat(unsteady, resolveAll(temp)) {
		if strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/") {
			return fmt.Errorf("it is in %s, and hiding it would hide files that are created there later", dir)
		}
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if err := unix.Access(dir, unix.R_OK); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("listing %s: %w", dir, err)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// Access rights (include/uapi/linux/landlock.h).
const (
	fileRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV

	// A rename to another directory is denied unless a rule allows it (since ABI 2).
	rootRights = unix.LANDLOCK_ACCESS_FS_READ_DIR | unix.LANDLOCK_ACCESS_FS_REFER
)

// allRights are the access rights to files that an ABI knows and that are restricted.
func allRights(abi int) uint64 {
	switch {
	case abi >= 5:
		return 1<<16 - 1 // LANDLOCK_ACCESS_FS_IOCTL_DEV is the last
	case abi >= 3:
		return 1<<15 - 1 // LANDLOCK_ACCESS_FS_TRUNCATE
	case abi == 2:
		return 1<<14 - 1 // LANDLOCK_ACCESS_FS_REFER
	default:
		return 1<<13 - 1
	}
}
