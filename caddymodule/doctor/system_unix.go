//go:build unix

package doctor

import "golang.org/x/sys/unix"

// enoughFiles is how many open files a web server can well need: a connection
// each for client and worker, files, logs.
const enoughFiles = 4096

// descriptors looks at `ulimit -n`. Go raises the soft limit to the hard one by
// itself.
func (f *findings) descriptors() {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return
	}
	hard := uint64(limit.Max) //nolint:unconvert // FreeBSD has an int64
	if hard < enoughFiles {
		f.note("raise it: `LimitNOFILE=1048576` in Caddy's systemd unit, or ulimit -n in the shell that starts it",
			"only %d open files are allowed to a process that is started here", hard)
		return
	}
	f.ok("%d open files are allowed", hard)
}
