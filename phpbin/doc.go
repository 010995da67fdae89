// Package phpbin finds php-cgi and runs it. It speaks no FastCGI: the caller
// passes a handshake ([Options.Handshake]) and gets a [Process]: a php-cgi that
// has responded, with the connection to it.
//
// php-cgi is PHP's FastCGI server. It serves one connection at a time, accepted
// from a socket that it opens itself, in a directory that only the two of us reach. Its
// stdin is empty, and [Options.Output] gets what it writes to stdout and stderr. It
// runs in one of two ways:
//
//   - [Shared]: one master that loads PHP once and forks [Options.Slots] children
//     (PHP_FCGI_CHILDREN), which share its OPcache. The master replaces a child
//     that exits. Linux only.
//   - [Single]: one php-cgi for each worker, on every platform. On Windows it
//     opens a port of the loopback interface.
//
// Both have a method Launch that returns a worker. With Shared the kernel decides
// which child accepts a connection; the credentials that come with the response
// (SCM_CREDENTIALS) identify it. A process is watched and signalled by pidfd where
// available (Linux 5.3), because a pid may be reused.
//
// # Shutdown
//
// Close stops every php-cgi of a launcher. Other programs that scripts have started live
// on until they end or [KillJobs] is called. If this process dies, the watchdog kills
// all of them: a small shell in php-cgi's process group that kills the group when its
// pipe from us is closed. If the watchdog was killed too, php-cgi still receives a
// parent death signal (PR_SET_PDEATHSIG), and [KillOrphans] kills what remains at the
// next start. On Windows a job object does all this.
//
// A process that a script moves to another session or process group is out of reach.
//
// # Platforms
//
// Other Unix systems and Windows have [Single] only. They do not support the limits
// in [Options] (Umask, Nice, NoNewPrivs, Rlimits, OOMScoreAdj), memory figures, soft
// timeouts and backtraces: the functions return [errors.ErrUnsupported].
//
// docs/internals.md describes how this works in detail, and where php-cgi behaves
// unexpectedly.
package phpbin
