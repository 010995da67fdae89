// Package phpbin finds php-cgi and runs it. It speaks no FastCGI: the caller
// passes a handshake ([Options.Handshake]) and gets a [Process], a php-cgi that
// has responded, with the connection on which it did.
//
// php-cgi is PHP's FastCGI server. It serves one connection at a time, accepted
// from a listening socket that it inherits as fd 0; we listen before it runs, so
// that nothing has to wait until it is ready. It runs in one of two ways:
//
//   - [Shared]: one master that loads PHP once and forks [Options.Slots] children
//     (PHP_FCGI_CHILDREN), which share its OPcache. The master replaces a child
//     that exits. Linux only.
//   - [Single]: one php-cgi for each worker, on every platform. On Windows it
//     opens a port of the loopback interface, because it cannot inherit a socket.
//
// Either gives workers by Launch. With Shared the kernel decides which child
// accepts a connection; the credentials that come with the response
// (SCM_CREDENTIALS) identify it. A process is watched and signalled by pidfd where
// there is one (Linux 5.3), because a pid may be reused.
//
// # Shutdown
//
// Close ends all processes of a launcher. If this process dies without it, the
// watchdog does: a small shell in php-cgi's process group that kills the group
// when its pipe from us closes. If the watchdog is killed too, the parent death
// signal (PR_SET_PDEATHSIG) ends what it can, and [KillOrphans] ends the rest at
// the next start. On Windows the processes are in a job object.
//
// What a script moves to a session or process group of its own is out of reach.
//
// # Platforms
//
// Linux has everything. Other Unix systems and Windows have Single only, and no
// user limits, memory figures, soft timeout or backtraces; the functions
// concerned return [errors.ErrUnsupported].
//
// How all this was found out, and what php-cgi surprises with, is in
// docs/internals.md.
package phpbin
