package phpbin

import (
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// ownerTag identifies a process that starts php-cgi among all that run on this
// machine, in any container, or have run since it was booted.
type ownerTag struct {
	pidNS uint64 // the inode of its pid namespace
	pid   int
	start uint64 // procfs.Stat.StartTime
}

// dirPattern matches the name of a socket directory: dirPrefix, ownTag or newGroupTag,
// and the suffix of os.MkdirTemp.
var dirPattern = regexp.MustCompile(`^` + dirPrefix + `([0-9a-z]+)-([0-9a-z]+)-([0-9a-z]+)-(?:\d+-)?\d+$`)

// groupTags is the number of the last newGroupTag.
var groupTags atomic.Uint64

// newGroupTag returns ownTag with a number, which no other launcher has.
func newGroupTag() string {
	tag := ownTag()
	if tag == "" {
		return ""
	}
	return tag + strconv.FormatUint(groupTags.Add(1), 10) + "-"
}

// ownTag returns the tag of this process as text for the name of a socket
// directory. The path of a socket is visible in /proc/net/unix for as long as a
// process holds it, so a php-cgi that outlives us carries our tag: see killOrphans.
// Without /proc it is empty.
func ownTag() string {
	tag, err := currentTag()
	if err != nil {
		return ""
	}
	return base36(tag.pidNS) + "-" + base36(uint64(tag.pid)) + "-" + base36(tag.start) + "-"
}

// base36 formats n, short because the path of a socket is limited to 107 bytes.
func base36(n uint64) string { return strconv.FormatUint(n, 36) }

// socketName returns the name of the socket for a socket directory: that of the
// directory, and a hash of where it is.
func socketName(dir string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(filepath.Dir(dir)))
	return filepath.Base(dir) + "-" + base36(uint64(hash.Sum32()))
}

// currentTag returns the tag of this process.
func currentTag() (ownerTag, error) {
	if err := procfs.CheckPIDNamespace(); err != nil {
		return ownerTag{}, err
	}
	ns, err := os.Stat("/proc/self/ns/pid")
	if err != nil {
		return ownerTag{}, err
	}
	stat, err := procfs.ReadStat(os.Getpid())
	if err != nil {
		return ownerTag{}, err
	}
	return ownerTag{pidNS: procfs.Inode(ns), pid: stat.PID, start: stat.StartTime}, nil
}

// parseOwnerTag parses the name of a socket directory.
func parseOwnerTag(name string) (tag ownerTag, ok bool) {
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
	tag = ownerTag{pidNS: n[0], pid: int(n[1]), start: n[2]}
	return tag, 0 < tag.pid && n[1] <= math.MaxInt32
}

// alive reports whether the process runs; if unknown, it returns true. The process
// must be of our pid namespace.
func (o ownerTag) alive() bool {
	stat, err := procfs.ReadStat(o.pid)
	if err != nil { // /proc may hide the processes of other users (hidepid)
		return unix.Kill(o.pid, 0) != unix.ESRCH
	}
	return !stat.Zombie() && stat.StartTime == o.start
}
