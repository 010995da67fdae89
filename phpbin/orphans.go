package phpbin

// Orphan is a php-cgi that outlived the process that started it and was killed by
// [KillOrphans].
type Orphan struct {
	PID      int
	OwnerPID int    // of the process that had started it
	Binary   string // the path of the program
}

// KillOrphans kills php-cgi processes that outlived their owner, the process that
// started them, and returns them. There are orphans only if the watchdog was killed
// too. Call it before anything is started, with the options that will be used: it
// considers the sockets of dead owners with the RuntimeDir of one of them, and kills
// programs that hold such a socket and are named like php-cgi or are the Binary of one: masters, children, forks of scripts, and php-cgi
// that scripts have started. It spares the processes of a running owner, those of
// another container, and other programs that scripts have started.
//
// It also removes the socket directories of dead owners from each RuntimeDir. Without
// orphans it reads /proc/net/unix and the directories, which takes 0.3 ms. On systems other than
// Linux it does nothing.
func KillOrphans(next ...Options) ([]Orphan, error) { return killOrphans(next) }
