// Package phpbin finds php-cgi and runs it: as one master that forks workers
// ([Shared], Linux) or as one process for each worker ([Single], everywhere).
// It speaks no FastCGI; the caller gives it a handshake, and it gives back a
// [Process]: a process that has answered, and the connection it answered on.
//
// # How php-cgi is run
//
// It serves FastCGI when its fd 0 is a listening socket (main/fastcgi.c,
// fcgi_is_fastcgi), which must block; with one that does not, a master re-forks
// for ever. We listen before it runs, so nobody has to wait for it to be ready,
// and take the socket out of the file system at once. PHP_FCGI_CHILDREN makes
// it a master (sapi/cgi/cgi_main.c): it forks that many children after it has
// read php.ini, loaded the extensions and set up the OPcache, and forks again
// when one ends. A child serves one connection at a time, to its end. On
// Windows php-cgi opens a port of its own by -b.
//
// SO_PEERCRED of such a connection names whoever called listen, us. Which child
// answered is told by SCM_CREDENTIALS on what it writes, and by SCM_PIDFD since
// Linux 6.5. A process is signalled and watched by pidfd alone: a number may
// belong to another one by now.
//
// # How it ends
//
// All php-cgi of a launcher are in one process group. In it lives a watchdog, a
// few lines of shell that read from a pipe and kill the group when the pipe
// ends, as it does when we are killed. Measured: everything is gone 3 to 30 ms
// after our SIGKILL, scripts in a busy loop and those of another user too
// (TestNoPHPSurvivesUs). It costs 1.7 MB resident, 0.3 MB if what it shares with
// others is divided, and runs as we do, so that a script of another user cannot
// kill it. Where php-cgi runs as our own user, a script can, and so can the
// kernel when memory runs out; then there remains the death signal
// (PR_SET_PDEATHSIG), and after it the next start: see below.
//
//   - The master is the leader of its group by setpgid before exec. Its own
//     setsid() then fails, which it ignores (cgi_main.c: "Make this the group
//     leader"). With a session of its own, the watchdog could not join: setpgid
//     works within a session only.
//   - Therefore it would also have our controlling terminal, which is taken
//     from it by TIOCNOTTY (TestPHPHasNoTerminal).
//   - The watchdog is reaped last. A process group keeps its number while it
//     has a member, zombies included, so a group that is killed is ours.
//   - The death signal of a master is TERM: it sends that on to its group. With
//     KILL the children would go on. That of a single php-cgi is KILL.
//   - A death signal comes when the thread ends that started the process
//     (go.dev/issue/27505), hence the launcher's own thread. Umask, niceness,
//     no_new_privs and dropped capabilities are that thread's alone.
//
// What is left when we and the watchdog are killed, seen on Linux
// (TestWhatAKilledProcessLeavesIsEnded and those that follow it):
//
//   - of a master and its children those that compute: TERM, which PHP handles
//     when a script ends, is all that they get.
//   - of single ones nothing: their signal is KILL.
//   - of either kind the copies that a script has made (pcntl_fork), since fork
//     clears the death signal, and everything where exec clears it (prctl(2)):
//     with a set-group-ID php-cgi, or a change of context by SELinux or AppArmor.
//
// [KillOrphans] finds that without having written anything down, so a disk that
// is full or a directory that is not there any more cannot hide it: /proc/net/unix
// shows the name under which a socket was bound for as long as anybody holds it,
// long after the file is gone, and the name says who we are (pid namespace,
// number, start time). A process of our namespace with that socket as its fd 0,
// with php-cgi as its program, whose maker is dead and not among its ancestors,
// is killed by pidfd. Everything else is let be: what another network namespace
// hides, and what php-cgi of another user a Caddy that is not root cannot look at.
//
// As process 1 of a container we become the parent of every orphan. Zombies
// that nobody here started are reaped: see reapOrphans.
//
// What a script moves to a session or group of its own (setsid, setpgid) is out
// of reach; under systemd the unit's cgroup ends it. systemd sends TERM to the
// workers at the same time as to us, unless the unit has KillMode=mixed: it
// interrupts scripts that sleep.
//
// # What a worker does
//
// [Process.Backtrace] reads the stack of a running PHP out of its memory by
// process_vm_readv(2), and stops nothing: 0.3 ms for ten calls. The executor's
// globals are found by the symbol that php-cgi exports for its extensions, what
// lies where by the API number that they are refused by; layouts says how that
// was verified. The script goes on meanwhile, so a call counts when it is the
// same at nine looks. In a loop of nothing but calls that left less than one
// reading in 100 with nothing at all, and none with a call that was not there
// (TestABacktraceOfWhatNeverStandsStillIsTrueOrNone).
//
// It takes what ptrace takes, by __ptrace_may_access in the kernel: the same
// user and groups, or CAP_SYS_PTRACE, which root has, but not in an ordinary
// container. Yama's kernel.yama.ptrace_scope of 1, a usual default, lets a
// process look at those that it has started, and what they have (yama_lsm.c,
// task_is_descendant); 2 asks for CAP_SYS_PTRACE, 3 forbids it. Where it does
// not work, [Process.BlockedOn] still tells a process that runs from one that
// sleeps; a thread-safe PHP, a debug build and a release that nobody has
// looked at have no backtrace either.
//
// Functions that PHP 8.4 and later call without a frame (max, in_array,
// preg_match and some more) are not on the stack: the line of their caller is.
//
// # Surprises
//
// Seen with PHP 8.2.36 on Linux 6.18, and held by tests.
//
//   - php-cgi -v runs opcache.preload, a script, even to tell its version: as
//     root it ends with 254 without opcache.preload_user. Probe overrules it.
//   - Complaints of start-up go to error_log if that is set, and are not to be
//     seen on stderr; with log_errors off, as without any php.ini, they are
//     lost. Probe overrules that too. A php-cgi that ends at a real start without
//     a word is asked once more in that way (group.explain).
//   - -d name=value goes through the ini parser, where ; = ( & ' " ${ and
//     others are special, but php-cgi puts double quotes around a value that
//     begins with neither a letter, a digit nor a quote: see quoteINI.
//   - Of -d arguments php-cgi makes one ini file, and takes a value that begins
//     with a letter or a digit as it stands: so one argument can hold [PATH=]
//     sections, which are the only ini settings that scripts cannot undo. No ini
//     file of ours has to lie anywhere: see Options.adminArg.
//   - prlimit(2) on a process of another user needs CAP_SYS_RESOURCE, which
//     root has not in an ordinary container: prlimit(1) then goes first.
//   - A process inherits what we were started with and Go did not mark
//     close-on-exec, under socket activation the web server's own sockets.
//   - A copy that a script makes of its worker (pcntl_fork) goes on to accept
//     connections. Its parent is not the master; it is killed.
//   - When a connection is given up while its script runs, the next connection
//     is taken by a child that stands by, if there is one: see exchange.
package phpbin
