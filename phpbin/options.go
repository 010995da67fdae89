package phpbin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Options is everything that a php-cgi process sees, and how its starter wants
// to hear of it. It is plain data: two equal Options start equal processes.
type Options struct {
	// Binary is the path of php-cgi, as [Find] returns it.
	Binary string

	// INIFile is php's -c: a php.ini, or a directory that holds one. Empty
	// means the one php was built to read.
	INIFile string

	// INIScanDir is PHP_INI_SCAN_DIR: where the additional .ini files lie. Nil
	// leaves php's own, "" reads none, ":DIR" adds DIR to php's own.
	INIScanDir *string

	// INI are php's -d options, the last one of a name wins. They overrule
	// php.ini and the scanned files; .user.ini and ini_set() overrule them.
	INI []Setting

	// AdminINI are settings that scripts cannot change, nor .user.ini: in force
	// for those whose path begins with one of AdminDirs as [TopLevelDir] has it,
	// usually all of [TopLevelDirs]. What PHP reads at its start only (disable_functions)
	// has to be in INI; nothing can change it later.
	AdminINI  []Setting
	AdminDirs []string

	// Env are variables on top of the few that php-cgi gets anyway (see
	// [Options.Environ]). A script reads them by getenv().
	Env map[string]string

	// Credential is who php-cgi runs as; nil means as this process does.
	Credential *Credential

	// Umask, Nice, NoNewPrivs, Rlimits and OOMScoreAdj need Linux; Validate says
	// so elsewhere. A nil Umask and a Nice of 0 leave what this process has. A
	// nil OOMScoreAdj is 500 more than that: when memory runs out, the kernel
	// ends php-cgi and not us.
	Umask       *int
	Nice        int
	NoNewPrivs  bool
	Rlimits     []Rlimit
	OOMScoreAdj *int

	// Slots is how many workers a shared master forks (PHP_FCGI_CHILDREN).
	// Single ignores it.
	Slots int

	// ZTS is Binary.ZTS as probed. A thread-safe PHP dies of the signal that
	// [Process.SoftTimeout] sends.
	ZTS bool

	// Stderr receives every line that php-cgi writes on its own stderr, one
	// call at a time: start-up messages, OPcache's log, php://stderr, and
	// nothing that says which worker wrote it. A line longer than 64 KiB comes
	// in pieces. It must not block for long: php-cgi does, once 64 KiB wait.
	Stderr func(line string)

	// Handshake makes sure that a php-cgi serves on a fresh connection: it
	// sends something (FCGI_GET_VALUES costs least) and reads the answer, which
	// on Linux also tells whose answer it is. It must neither close nor keep
	// conn, must read through it, and must leave no byte unread. When ctx ends,
	// reads and writes on conn fail.
	Handshake func(ctx context.Context, conn net.Conn) error

	// RuntimeDir is where the directory of the listening socket is made, mode
	// 0700; empty means the system's directory for temporary files. On Linux
	// it is gone again before php-cgi answers.
	RuntimeDir string
}

// Setting is one ini directive and its value, as one would write it in php.ini
// but unquoted: the quotes that php's parser wants are added by [Options.Args].
type Setting struct {
	Name, Value string
}

// Credential is a user and groups by number.
type Credential struct {
	UID, GID uint32
	Groups   []uint32
}

// Rlimit bounds a resource of every process, by its name in the shell's and
// systemd's manuals: nofile, core, as, cpu, data, fsize, memlock, nproc, stack.
// [Unlimited] takes a bound away. Without one for core it is 0, since a
// crashing worker is not seen to be gone before its dump is written.
type Rlimit struct {
	Resource   string
	Soft, Hard uint64
}

// Unlimited is RLIM_INFINITY.
const Unlimited = ^uint64(0)

// Validate reports what php-cgi could not be started with.
func (o Options) Validate() error {
	var errs []error
	if o.Binary == "" {
		errs = append(errs, errors.New("no php-cgi binary is given"))
	}
	if o.Handshake == nil {
		errs = append(errs, errors.New("no handshake is given"))
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
		errs = append(errs, fmt.Errorf("umask %#o is not between 0 and 0777", *o.Umask))
	}
	if o.Nice < -20 || o.Nice > 19 {
		errs = append(errs, fmt.Errorf("nice %d is not between -20 and 19", o.Nice))
	}
	errs = append(errs, o.validatePlatform())
	return errors.Join(errs...)
}

func (s Setting) validate() error {
	if s.Name == "" || strings.ContainsAny(s.Name, "=;\"'[]{}()$&|^~! \t\r\n\x00") {
		return fmt.Errorf("%q cannot be the name of an ini directive", s.Name)
	}
	if strings.ContainsRune(s.Value, 0) {
		return fmt.Errorf("the value of the ini directive %s contains a NUL byte", s.Name)
	}
	return nil
}
