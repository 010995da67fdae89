package confine

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/osthread"
)

// Detect tries what the kernel, and a filter of the container, allow. The result is
// remembered.
var Detect = sync.OnceValue(func() Support {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return Support{Err: os.NewSyscallError("landlock_create_ruleset", errno)}
	}
	s := Support{ABI: int(abi)}
	var filterErr error
	done := make(chan struct{})
	osthread.Go(func() { // the thread ends, and its restrictions with it
		defer close(done)
		if s.Err = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); s.Err == nil {
			s.Err = s.restrict(Config{Hidden: []string{"/php-pool-does-not-exist"}})
		}
		filterErr = installFilter(false)
	})
	<-done
	if s.Err != nil {
		return Support{Err: s.Err}
	}
	s.Ports = s.ABI >= 4 && filterErr == nil
	return s
})

// Apply restricts the calling thread, which must be locked, for good. The thread must
// not be the main one: /proc/PID is checked against that (see [osthread.Go]).
func (s Support) Apply(c Config) error {
	if s.ABI == 0 {
		return s.Err
	}
	if unix.Gettid() == os.Getpid() {
		return errors.New("confining the main thread would confine this process")
	}
	if !c.OnlyPorts {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", err)
		}
	}
	if !s.Ports {
		c.Ports = nil
	}
	if err := s.restrict(c); err != nil {
		return err
	}
	if err := installFilter(c.OnlyPorts); err != nil && len(c.Ports) > 0 {
		return err
	}
	return nil
}

// rulesetAttr is struct landlock_ruleset_attr, which has grown with the ABI.
type rulesetAttr struct{ files, net, scoped uint64 }

// size returns the size that the kernel of an ABI knows: it rejects a larger one with
// anything but zeros in the rest, and so a smaller struct is always right.
func (a rulesetAttr) size() uintptr {
	switch {
	case a.scoped != 0:
		return 24
	case a.net != 0:
		return 16
	default:
		return 8
	}
}

type ruleset int // a file descriptor

func newRuleset(a rulesetAttr) (ruleset, error) {
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&a)), a.size(), 0)
	if errno != 0 {
		return 0, os.NewSyscallError("landlock_create_ruleset", errno)
	}
	return ruleset(fd), nil
}

func (r ruleset) add(kind int, attr unsafe.Pointer) error {
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(r), uintptr(kind), uintptr(attr), 0, 0, 0); errno != 0 {
		return os.NewSyscallError("landlock_add_rule", errno)
	}
	return nil
}

func (r ruleset) restrictSelf() error {
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(r), 0, 0); errno != 0 {
		return os.NewSyscallError("landlock_restrict_self", errno)
	}
	return nil
}

func (r ruleset) close() { _ = unix.Close(int(r)) }

// Kinds of rules (enum landlock_rule_type).
const (
	rulePathBeneath = 1
	ruleNetPort     = 2
)

// allow gives rights below a path. It ignores one that has gone meanwhile.
func (r ruleset) allow(path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil //nolint:nilerr // closed, then
	}
	defer unix.Close(fd)
	// struct landlock_path_beneath_attr is packed; what follows it is not read.
	attr := struct {
		rights uint64
		fd     int32
	}{rights, int32(fd)}
	if err := r.add(rulePathBeneath, unsafe.Pointer(&attr)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// attr returns what a set of rules is about, which separates a thread from the processes
// outside too.
func (s Support) attr(ports []uint16, only bool) rulesetAttr {
	if only {
		return rulesetAttr{net: unix.LANDLOCK_ACCESS_NET_CONNECT_TCP}
	}
	attr := rulesetAttr{files: allRights(s.ABI)}
	if s.Signals() {
		attr.scoped = unix.LANDLOCK_SCOPE_SIGNAL | unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
	}
	if len(ports) > 0 {
		attr.net = unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	return attr
}

// restrict uses one set of rules for everything: each further one would deny renames to
// another directory, unless it allows them too.
func (s Support) restrict(c Config) error {
	all := allRights(s.ABI)
	r, err := s.ruleset(c.Ports, c.OnlyPorts)
	if err != nil {
		return err
	}
	// To free the rules of ports takes as long as to make them the thread's.
	defer func() { go r.close() }()
	if c.OnlyPorts {
		return r.restrictSelf()
	}
	if err := r.allow("/", rootRights&all); err != nil {
		return err
	}
	for _, rule := range c.rules() {
		rights := all
		if !rule.dir {
			rights = fileRights & all
		}
		if err := r.allow(rule.path, rights); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EBADFD) {
			return err // EINVAL: a file has taken the place of a directory. EBADFD: one of the kernel's own
		}
	}
	for _, path := range resolveAll(c.Allowed) {
		if err := r.allow(path, all); err != nil {
			return err
		}
	}
	return r.restrictSelf()
}
