package phpbin

import (
	"errors"
	"fmt"
	"io"
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

// othersMayWrite are the permissions that a file of ours must not have.
const othersMayWrite = 0o022

// ownDir reports whether a path is a directory of this user that nobody else may write to.
func ownDir(path string) bool {
	var s unix.Stat_t
	return unix.Lstat(path, &s) == nil && s.Mode&unix.S_IFMT == unix.S_IFDIR && isOwn(&s)
}

func isOwn(s *unix.Stat_t) bool {
	return int(s.Uid) == os.Geteuid() && s.Mode&othersMayWrite == 0
}

// readOwn reads a regular file of this user that nobody else may write to.
func readOwn(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return nil, err
	}
	if s.Mode&unix.S_IFMT != unix.S_IFREG || !isOwn(&s) || s.Nlink != 1 || s.Size > limit {
		return nil, fs.ErrPermission
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
