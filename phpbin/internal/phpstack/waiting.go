package phpstack

// Wait describes what a process is doing as seen by the kernel.
type Wait struct {
	// Call is the system call in which it is blocked, "running" if it is not blocked,
	// "sleeping" if the system call is unknown.
	Call string

	// Target is the object it waits for, if known: the remote address of a socket, the path
	// of a file, a process.
	Target string
}

// String returns "poll 10.0.0.5:3306", "flock /srv/www/lock" or "running".
func (w Wait) String() string {
	if w.Target == "" {
		return w.Call
	}
	return w.Call + " " + w.Target
}
