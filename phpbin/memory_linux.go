package phpbin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bootID returns a text that no other boot of a machine has; "" if it is unknown.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// fileState returns a text that changes with a file: with its content, its permissions, and
// when it is replaced; also for a directory, with the names in it. It is "" if the file
// cannot be examined, and "missing" if it does not exist.
func fileState(path string) string {
	var s unix.Stat_t
	switch err := unix.Stat(path, &s); {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return "missing"
	case err != nil:
		return ""
	}
	return fmt.Sprint(s.Dev, s.Ino, s.Mode, s.Uid, s.Gid, s.Size, s.Mtim, s.Ctim)
}

// inputState returns the state of a file and the permissions of the directories above it. It
// is "" if these cannot be examined.
func inputState(path string) string {
	state := fileState(path)
	if state == "" {
		return ""
	}
	var above strings.Builder
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		var s unix.Stat_t
		switch err := unix.Stat(dir, &s); {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			above.WriteString(" missing")
		case err != nil:
			return ""
		default:
			fmt.Fprint(&above, " ", s.Dev, s.Ino, s.Mode, s.Uid, s.Gid)
		}
		if dir == filepath.Dir(dir) {
			return state + above.String()
		}
	}
}

// changedSince reports whether a file was changed after t, or its change cannot be known.
// A file that is missing was not.
func changedSince(path string, t time.Time) bool {
	var s unix.Stat_t
	switch err := unix.Stat(path, &s); {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return false
	case err != nil:
		return true
	}
	return time.Unix(s.Ctim.Unix()).After(t)
}

// openOwnDir opens a directory of this user that nobody else may write to. The path
// must not be a symbolic link: the owner of the directory above could make it lead
// anywhere.
func openOwnDir(path string) (*os.Root, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() || !isOwn(info) {
		return nil, fs.ErrPermission
	}
	dir, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	if opened, err := dir.Stat("."); err != nil || !os.SameFile(info, opened) {
		_ = dir.Close()
		return nil, fs.ErrPermission
	}
	return dir, nil
}

// isOwnFile reports whether a file is a regular one of this user that nobody else may
// write to.
func isOwnFile(info fs.FileInfo) bool { return info.Mode().IsRegular() && isOwn(info) }

func isOwn(info fs.FileInfo) bool {
	uid, _, ok := fileOwner(info)
	return ok && int(uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}
