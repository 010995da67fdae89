package phpbin

// Orphan is a php-cgi that had outlived the process that started it, and was
// ended by [KillOrphans].
type Orphan struct {
	PID      int
	OwnerPID int    // the number of the process that had started it
	Binary   string // the path of the program
}
