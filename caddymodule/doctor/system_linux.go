package doctor

import (
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// kernel checks what php_pool needs of Linux: /proc, pidfds, prlimit, systemd.
func (f *findings) kernel(pools []Pool) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		f.problem("mount it: mount -t proc none /proc", "/proc is missing: `spawn shared` cannot work, and memory use is unknown: %v", err)
	}
	f.pidfd()
	f.prlimit(pools)
	f.migrateRequests(migrateRequestsPath)
	f.unit(findUnit(unitDirs), pools)
}

// pidfd checks for pidfd_open(2), with which `spawn shared` notices that a worker exited.
func (f *findings) pidfd() {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		f.note("write `spawn single`, or allow pidfd_open in the container's seccomp profile",
			"pidfd_open does not work (%v), so workers cannot be forked from one master", err)
		return
	}
	_ = unix.Close(fd)
	f.ok("pidfd_open works: workers can be forked from one master")
}

// prlimit checks for the program prlimit, which sets the limits of workers of
// another user if Caddy does not have the capability to do so.
func (f *findings) prlimit(pools []Pool) {
	if ok, _ := phpbin.CanSwitchUser(); !ok || hasResourceCapability() {
		return
	}
	if _, err := exec.LookPath("prlimit"); err == nil {
		return
	}
	const remedy = "install it (util-linux; Alpine: apk add util-linux-misc), or give Caddy CAP_SYS_RESOURCE"
	for i := range pools {
		if p := &pools[i]; len(p.Process.Rlimits) > 0 && p.Process.Credential != nil {
			f.problem(remedy, "pool %s has rlimit_* options, which need the program prlimit", p.Name)
		}
	}
	f.note(remedy, "the program prlimit is missing: workers may write core dumps, which delays the detection of a crash")
}

func hasResourceCapability() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err := unix.Capget(&header, &data[0])
	return err == nil && data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

const migrateRequestsPath = "/proc/sys/net/ipv4/tcp_migrate_req"

// migrateRequests checks the setting with which a reload of Caddy resets no
// connection (Linux 5.14, Documentation/networking/ip-sysctl.rst).
func (f *findings) migrateRequests(path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		return // an older kernel, or a container without the file
	}
	if strings.TrimSpace(string(content)) == "0" {
		f.note("set it: sysctl -w net.ipv4.tcp_migrate_req=1, and write it to /etc/sysctl.d/60-caddy.conf for the next boot",
			"the sysctl net.ipv4.tcp_migrate_req is 0: a reload of Caddy resets new connections that it has not accepted yet")
		return
	}
	f.ok("net.ipv4.tcp_migrate_req is on: a reload of Caddy resets no connection")
}
