package phpstack

// Wait is what a process does as the kernel sees it.
type Wait struct {
	// Call is the system call that it waits in, "running" if it computes, and
	// "sleeping" where more is not to be had.
	Call string

	// Target is whom or what it waits for, if that can be told: the remote address
	// of a socket, the path of a file, the process.
	Target string
}

// String is "poll 10.0.0.5:3306", "flock /srv/www/lock" or "running".
func (w Wait) String() string {
	if w.Target == "" {
		return w.Call
	}
	return w.Call + " " + w.Target
}
