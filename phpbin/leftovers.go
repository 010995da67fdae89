package phpbin

// Leftover is a php-cgi that had outlived the process that started it, and was
// ended by [EndLeftovers].
type Leftover struct {
	PID    int
	Owner  int    // the number of the process that had started it
	Binary string // the path of the program
}
