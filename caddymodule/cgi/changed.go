package cgi

import (
	"bytes"
	"path/filepath"
	"time"
)

// clockSlack is how much earlier than the time of a change a file system's own time
// of it may be: the kernel's coarse clock has the period of the timer interrupt.
const clockSlack = 20 * time.Millisecond

// Changed reports whether a file may have been missing or another one at some time
// since: if it is missing now, or if the file, a directory above it, or a symlink on
// the way to it has changed since then. It may be wrong where file systems do not keep
// the time at which a file was renamed.
func Changed(file string, since time.Time) bool {
	since = since.Add(-clockSlack)
	target, err := filepath.EvalSymlinks(file)
	return err != nil || pathChanged(file, since) || target != file && pathChanged(target, since)
}

// Replaced reports whether a file is missing now, or has itself changed since. Other
// than Changed it ignores directories, in which the file's own program may write.
func Replaced(file string, since time.Time) bool {
	since = since.Add(-clockSlack)
	target, err := filepath.EvalSymlinks(file)
	if err != nil {
		return true
	}
	for _, path := range []string{file, target} {
		if t, err := changeTime(path); err != nil || !t.Before(since) {
			return true
		}
	}
	return false
}

// pathChanged reports whether the file at path or a directory above it has changed.
func pathChanged(path string, since time.Time) bool {
	for {
		if t, err := changeTime(path); err != nil || !t.Before(since) {
			return true
		}
		parent := filepath.Dir(path)
		if parent == path {
			return false
		}
		path = parent
	}
}

// ReportsNotOpened reports whether PHP's log messages have the fatal error that it
// gives if OPcache knows a script that cannot be opened any more.
func ReportsNotOpened(messages []byte, script string) bool {
	_, after, ok := bytes.Cut(messages, []byte("Failed opening required '"))
	if !ok || !bytes.HasPrefix(after, []byte(script)) {
		return false
	}
	message, _, _ := bytes.Cut(after[len(script):], []byte("\n"))
	return bytes.HasSuffix(message, []byte(" in Unknown on line 0"))
}
