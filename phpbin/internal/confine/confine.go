// Package confine restricts a thread, and the processes that it starts from then on, by
// Landlock (landlock(7)) and a seccomp filter. Neither takes a privilege.
package confine

// Config says what a thread loses. Everything else stays allowed.
type Config struct {
	// Hidden are absolute paths of files and directories, which need not exist: they, and
	// all below, can be neither read nor changed. The names in their parents stay
	// visible. Whatever is created later in one of these parents is closed too.
	Hidden []string

	// Allowed are directories that stay usable although a hidden one contains them.
	Allowed []string

	// Ports are TCP ports to which the thread cannot connect, on any host.
	Ports []uint16

	// OnlyPorts means that the thread loses nothing else: no file, no process outside, and
	// no gain of privileges by setuid programs. This takes the capability CAP_SYS_ADMIN.
	OnlyPorts bool
}

// Support says what the kernel can do, for a thread of this process.
type Support struct {
	// ABI is the version of Landlock, or 0. From 1 on (Linux 5.13) files
	// are hidden, and processes outside cannot be traced: their memory, environment and
	// descriptors are closed. From 6 on (Linux 6.12) they cannot be signaled, nor
	// reached through an abstract Unix socket.
	ABI int

	// Ports reports whether [Config.Ports] works: ABI 4 (Linux 6.7), and seccomp.
	Ports bool

	// Err is the reason why ABI is 0.
	Err error
}

// Signals reports whether processes outside cannot be signaled.
func (s Support) Signals() bool { return s.ABI >= 6 }
