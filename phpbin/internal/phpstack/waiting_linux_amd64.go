package phpstack

import "golang.org/x/sys/unix"

var legacyCallNames = map[uint64]string{
	unix.SYS_POLL: "poll", unix.SYS_SELECT: "select", unix.SYS_EPOLL_WAIT: "epoll_wait",
	unix.SYS_OPEN: "open", unix.SYS_STAT: "stat", unix.SYS_LSTAT: "lstat", unix.SYS_ACCESS: "access",
	unix.SYS_NEWFSTATAT: "newfstatat",
}
