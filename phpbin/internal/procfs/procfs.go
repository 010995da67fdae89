// Package procfs reads the files of processes below /proc (proc_pid_stat(5) and
// others), which only Linux has. Elsewhere its functions return
// errors.ErrUnsupported or nothing.
package procfs

import "time"

// Stat is a part of /proc/PID/stat, proc_pid_stat(5).
type Stat struct {
	PID, PPID, PGID int

	// State is 'R' for running, 'S' for sleeping, 'Z' for a zombie, and so on.
	State byte

	// CPU is the processor time used, in user and kernel mode.
	CPU time.Duration

	// StartTime is in clock ticks since boot. With the PID it identifies a
	// process for as long as the system runs.
	StartTime uint64
}

// Zombie reports whether the process has exited but is not reaped.
func (s Stat) Zombie() bool { return s.State == 'Z' || s.State == 'X' }
