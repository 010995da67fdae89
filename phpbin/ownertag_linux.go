package phpbin

import (
	"math"
	"os"
	"regexp"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// origin is a process that starts php-cgi, told apart from all others that run
// on this machine, in whichever container, or ran since it was switched on.
type ownerTag struct {
	pidNS uint64 // its pid namespace, by inode
	pid   int
	start uint64 // in clock ticks since boot
}

// dirPattern is what the directory of a socket is called: dirPrefix, mark, and
// what os.MkdirTemp makes of it.
var dirPattern = regexp.MustCompile(`^` + dirPrefix + `([0-9a-z]+)-([0-9a-z]+)-([0-9a-z]+)-\d+$`)

// mark is this process as the directory of a socket has it in its name. The
// name of a socket is to be seen in /proc/net/unix for as long as anybody holds
// it, so a php-cgi that outlives us bears our name: see KillOrphans. Without
// a /proc to tell who we are it is empty.
func ownTag() string {
	o, err := currentTag()
	if err != nil {
		return ""
	}
	// In base 36, since the path of a socket may not have more than 107 bytes.
	base36 := func(n uint64) string { return strconv.FormatUint(n, 36) + "-" }
	return base36(o.pidNS) + base36(uint64(o.pid)) + base36(o.start)
}

// currentTag is who we are.
func currentTag() (ownerTag, error) {
	if err := procfs.CheckPIDNamespace(); err != nil {
		return ownerTag{}, err
	}
	ns, err := os.Stat("/proc/self/ns/pid")
	if err != nil {
		return ownerTag{}, err
	}
	s, err := procfs.ReadStat(os.Getpid())
	if err != nil {
		return ownerTag{}, err
	}
	return ownerTag{pidNS: procfs.Inode(ns), pid: s.PID, start: s.StartTime}, nil
}

// parseOwnerTag reads who made a directory from its name.
func parseOwnerTag(name string) (o ownerTag, ok bool) {
	m := dirPattern.FindStringSubmatch(name)
	if m == nil {
		return ownerTag{}, false
	}
	var n [3]uint64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseUint(m[i+1], 36, 64); err != nil {
			return ownerTag{}, false
		}
	}
	o = ownerTag{pidNS: n[0], pid: int(n[1]), start: n[2]}
	return o, 0 < o.pid && n[1] <= math.MaxInt32
}

// alive reports whether the process runs, if it is one of our pid namespace. If
// that cannot be said, it does.
func (o ownerTag) alive() bool {
	s, err := procfs.ReadStat(o.pid)
	if err != nil { // /proc may hide the processes of others (hidepid)
		return unix.Kill(o.pid, 0) != unix.ESRCH
	}
	return !s.Zombie() && s.StartTime == o.start
}
