//go:build unix

package doctor

import "golang.org/x/sys/unix"

// enoughFiles is a number of open files that a busy web server may need: a client
// connection and a worker connection for each request, files, logs.
const enoughFiles = 4096

// descriptors checks the hard limit of `ulimit -n`. Go raises the soft limit to
// the hard limit when a program starts.
func (f *findings) descriptors() {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return
	}
	hard := uint64(limit.Max) //nolint:unconvert // FreeBSD has an int64
	if hard < enoughFiles {
		f.note("raise the limit: `LimitNOFILE=1048576` in Caddy's systemd unit, or ulimit -n in the shell that starts it",
			"a process that is started here can open only %d files", hard)
		return
	}
	f.ok("a process can open %d files", hard)
}
