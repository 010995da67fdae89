package phpbin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
)

// Options configures php-cgi and how it is started. It is plain data: equal
// Options start equal processes.
type Options struct {
	// Binary is the path of php-cgi, as [Find] returns it.
	Binary string

	// INIFile is php-cgi's -c: a php.ini, or a directory that holds one. Empty
	// means PHP's compiled-in default.
	INIFile string

	// INIScanDir is PHP_INI_SCAN_DIR, the directories of additional .ini files.
	// Nil means PHP's default, "" none, ":DIR" the default and DIR.
	INIScanDir *string

	// INI are php-cgi's -d options; the last one of a name wins. They override
	// php.ini and the scanned files, and are overridden by .user.ini and
	// ini_set().
	INI []Setting

	// AdminINI are settings that neither scripts nor .user.ini can change. They
	// apply to scripts whose path begins with one of AdminDirs, as [TopLevelDir]
	// returns it; usually AdminDirs is all of [TopLevelDirs]. A setting that PHP
	// reads at startup only (disable_functions) belongs in INI; nothing can
	// change it later.
	AdminINI  []Setting
	AdminDirs []string

	// Prelude is loaded before the scripts, if its Source is not empty.
	Prelude Prelude

	// Env are variables in addition to those of [Options.Environ]. Scripts can
	// read them with getenv().
	Env map[string]string

	// Credential is the user that php-cgi runs as; nil means the user of this
	// process.
	Credential *Credential

	// Umask, Nice, NoNewPrivs, Rlimits and OOMScoreAdj need Linux; elsewhere
	// Validate returns an error for them. A nil Umask and a Nice of 0 inherit the
	// values of this process. A nil OOMScoreAdj is 500 above that of this process,
	// so that the kernel kills php-cgi first when memory runs out.
	Umask       *int
	Nice        int
	NoNewPrivs  bool
	Rlimits     []Rlimit
	OOMScoreAdj *int

	// Confine keeps php-cgi from the files and the processes of this user; nil does not.
	// It implies NoNewPrivs, and needs a Credential that is nil or this user's.
	Confine *Confinement

	// KillIdle makes [Shared.Close] kill idle workers. They have nothing to finish, but
	// PHP's extensions do not see the end of the process, as when php-fpm is stopped. A
	// worker that exits by itself frees all memory that it shares with the master,
	// which takes 8 ms of processor time.
	KillIdle bool

	// Slots is how many children a shared master forks (PHP_FCGI_CHILDREN).
	// [Single] ignores it.
	Slots int

	// ZTS is [Binary.ZTS]. The signal that [Process.SoftTimeout] sends would kill
	// a thread-safe PHP.
	ZTS bool

	// Output receives what php-cgi and the programs that scripts start write to their
	// stdout and stderr, one call at a time: startup messages, OPcache's log,
	// php://stderr, php://stdout. Output must not block for long: a process blocks when
	// 64 KiB, or 16 writes, are unread.
	Output func(o Output)

	// Notice receives what happens to a launcher and is not reported otherwise: a constant
	// message, and an error that has the details. It is called from any goroutine and
	// must not block. Nil means that nothing is reported.
	Notice func(message string, err error)

	// Handshake checks that php-cgi serves a new connection: it sends a request
	// (FCGI_GET_VALUES is the cheapest) and reads the response, which on Linux
	// also identifies the process. It must use conn for reading, must leave
	// no byte unread, and must neither close nor keep conn. When ctx ends, reads
	// and writes on conn fail.
	Handshake func(ctx context.Context, conn net.Conn) error

	// RuntimeDir is where the directory of the listening socket is created, with mode
	// 0700; empty means the system's directory for temporary files. On Linux both are
	// removed as soon as php-cgi listens. On other systems Credential needs access to
	// RuntimeDir, and the path of the socket is limited to some 100 bytes.
	RuntimeDir string
}

// Setting is an ini directive and its value, unquoted: [Options.Args] adds the
// quotes that PHP's ini parser needs.
type Setting struct {
	Name, Value string
}

// Credential is a user and groups by number.
type Credential struct {
	UID, GID uint32
	Groups   []uint32
}

// Permissions returns the three permission bits of a file's mode that apply to the user:
// those of the owner, of the group, or of others. It considers neither ACLs nor the
// privileges of root. ok is false if the owner of the file is unknown, as on Windows.
func (c *Credential) Permissions(info fs.FileInfo) (bits fs.FileMode, ok bool) {
	uid, gid, ok := fileOwner(info)
	if !ok {
		return 0, false
	}
	mode := info.Mode().Perm()
	switch {
	case uid == c.UID:
		mode >>= 6
	case gid == c.GID, slices.Contains(c.Groups, gid):
		mode >>= 3
	}
	return mode & 7, true
}

// Rlimit limits a resource of each process (setrlimit(2)). Resource is the name
// that prlimit(1) uses: nofile, core, as, cpu, data, fsize, memlock, nproc, stack
// and others. [Unlimited] removes a limit. The default for core is 0, because
// the exit of a crashed worker is only seen after its core dump is written.
type Rlimit struct {
	Resource   string
	Soft, Hard uint64
}

// Unlimited is RLIM_INFINITY.
const Unlimited = ^uint64(0)

// Validate returns an error if php-cgi cannot be started with o.
func (o Options) Validate() error {
	var errs []error
	if o.Binary == "" {
		errs = append(errs, errors.New("Options.Binary is empty"))
	}
	if o.Handshake == nil {
		errs = append(errs, errors.New("Options.Handshake is nil"))
	}
	for _, s := range o.INI {
		errs = append(errs, s.validate())
	}
	errs = append(errs, o.validateAdmin())
	for name, value := range o.Env {
		errs = append(errs, validateEnv(name, value))
	}
	for _, text := range []string{o.Binary, o.INIFile, o.RuntimeDir} {
		if strings.ContainsRune(text, 0) {
			errs = append(errs, fmt.Errorf("%q contains a NUL byte", text))
		}
	}
	if o.Umask != nil && (*o.Umask < 0 || *o.Umask > 0o777) {
		errs = append(errs, fmt.Errorf("umask must be between 0 and 0777, got %#o", *o.Umask))
	}
	if o.Nice < -20 || o.Nice > 19 {
		errs = append(errs, fmt.Errorf("nice must be between -20 and 19, got %d", o.Nice))
	}
	if o.Confine != nil {
		errs = append(errs, o.Confine.validate())
	}
	errs = append(errs, o.validatePlatform())
	return errors.Join(errs...)
}

func (s Setting) validate() error {
	if s.Name == "" || strings.ContainsAny(s.Name, "=;\"'[]{}()$&|^~! \t\r\n\x00") {
		return fmt.Errorf("invalid ini directive name %q", s.Name)
	}
	if strings.ContainsRune(s.Value, 0) {
		return fmt.Errorf("the value of the ini directive %s contains a NUL byte", s.Name)
	}
	return nil
}
