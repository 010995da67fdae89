package doctor

import (
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// sharedIsDefault says how workers are started unless a pool says otherwise.
const sharedIsDefault = true

// kernel looks at what only Linux has.
func (f *findings) kernel(pools []Pool) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		f.problem("mount it: mount -t proc none /proc", "/proc is missing, and with it spawn shared and all memory figures: %v", err)
	}
	f.pidfd()
	f.prlimit(pools)
	f.unit(findUnit(unitDirs), pools)
}

// pidfd asks for what spawn shared watches workers by.
func (f *findings) pidfd() {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		f.note("write `spawn single`; in a container, allow pidfd_open (seccomp)",
			"no pidfd here (%v), so workers cannot be forked from one master", err)
		return
	}
	_ = unix.Close(fd)
	f.ok("pidfd works: workers can be forked from one master")
}

// prlimit looks for the program that limits workers of another user where we
// may not.
func (f *findings) prlimit(pools []Pool) {
	if os.Geteuid() != 0 || hasResourceCapability() {
		return
	}
	if _, err := exec.LookPath("prlimit"); err == nil {
		return
	}
	const remedy = "install it (util-linux; Alpine: apk add util-linux-misc), or give Caddy CAP_SYS_RESOURCE"
	for i := range pools {
		if p := &pools[i]; len(p.Process.Rlimits) > 0 && p.Process.Credential != nil {
			f.problem(remedy, "pool %s has rlimit_*, which needs the program prlimit here", p.Name)
		}
	}
	f.note(remedy, "without the program prlimit core dumps of workers are not turned off, and a crash is noticed late")
}

func hasResourceCapability() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err := unix.Capget(&header, &data[0])
	return err == nil && data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}
