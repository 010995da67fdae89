package phpbin

import (
	"bytes"
	"fmt"
	"os"
	"slices"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// strays returns a function that lists the php-cgi of the launcher that scripts have
// moved out of its process group (posix_setsid, posix_setpgid): workers, and copies that
// a script has forked. Call it when the group has no php-cgi any more. A process that is
// exiting has neither arguments nor a socket, so the function remembers those that it
// has listed.
func (g *group) strays() func() ([]procfs.Stat, error) {
	var known []procfs.Stat
	return func() ([]procfs.Stat, error) {
		found, err := g.findStrays()
		for _, p := range known {
			if now, err := procfs.ReadStat(p.PID); err == nil && now.StartTime == p.StartTime && !now.Zombie() &&
				!slices.ContainsFunc(found, func(other procfs.Stat) bool { return other.PID == p.PID }) {
				found = append(found, now)
			}
		}
		known = found
		return found, err
	}
}

// findStrays finds processes with the arguments of the first php-cgi, with the name of
// its socket. Where no process holds such a socket, which is usual, it reads one file.
func (g *group) findStrays() ([]procfs.Stat, error) {
	if g.tag == "" {
		return nil, nil
	}
	name := []byte(bindDir + "/" + dirPrefix + g.tag)
	sockets, err := os.ReadFile("/proc/net/unix")
	if err == nil && !bytes.Contains(sockets, name) { // on error it is unknown
		return nil, nil
	}
	pids, err := procfs.PIDs()
	if err != nil {
		return nil, err
	}
	argument := append([]byte("\x00-b\x00"), name...)
	var list []procfs.Stat
	for _, pid := range pids {
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || !bytes.Contains(args, argument) {
			continue // it has exited, or is another program
		}
		if stat, err := procfs.ReadStat(pid); err == nil && !stat.Zombie() {
			list = append(list, stat)
		}
	}
	return list, nil
}
