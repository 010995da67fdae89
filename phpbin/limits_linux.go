package phpbin

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// rlimits are the resources, by the names that prlimit(1) uses.
var rlimits = map[string]int{
	"as":         unix.RLIMIT_AS,
	"core":       unix.RLIMIT_CORE,
	"cpu":        unix.RLIMIT_CPU,
	"data":       unix.RLIMIT_DATA,
	"fsize":      unix.RLIMIT_FSIZE,
	"locks":      unix.RLIMIT_LOCKS,
	"memlock":    unix.RLIMIT_MEMLOCK,
	"msgqueue":   unix.RLIMIT_MSGQUEUE,
	"nice":       unix.RLIMIT_NICE,
	"nofile":     unix.RLIMIT_NOFILE,
	"nproc":      unix.RLIMIT_NPROC,
	"rss":        unix.RLIMIT_RSS,
	"rtprio":     unix.RLIMIT_RTPRIO,
	"rttime":     unix.RLIMIT_RTTIME,
	"sigpending": unix.RLIMIT_SIGPENDING,
	"stack":      unix.RLIMIT_STACK,
}

// minNofile is the smallest limit of open files. Measured with PHP 8.2: 10 are enough for
// php-cgi, a worker script and a page that opens nothing, and 16 for one that has a
// session, an upload, an SQLite database, three open files and a connection, and starts a
// program. Below 10 php-cgi does not start, or it says "No input file specified".
const minNofile = 16

func (o Options) validatePlatform() error {
	for _, r := range o.Rlimits {
		if _, ok := rlimits[r.Resource]; !ok {
			names := slices.Sorted(maps.Keys(rlimits))
			return fmt.Errorf("unknown resource limit %q (one of: %s)", r.Resource, strings.Join(names, ", "))
		}
		if r.Resource == "nofile" && r.Soft < minNofile {
			return fmt.Errorf("resource limit nofile %d: must be at least %d: php-cgi itself needs 10 open files, and scripts some for sessions, "+
				"uploads and connections", r.Soft, minNofile)
		}
		if r.Soft > r.Hard {
			return fmt.Errorf("resource limit %s: the soft limit %d is above the hard limit %d", r.Resource, r.Soft, r.Hard)
		}
	}
	if n := o.OOMScoreAdj; n != nil && (*n < oomScoreAdjMin || *n > oomScoreAdjMax) {
		return fmt.Errorf("oom_score_adj must be between %d and %d, got %d", oomScoreAdjMin, oomScoreAdjMax, *n)
	}
	return nil
}

// allRlimits returns the limits to set, the default for core first.
func (o Options) allRlimits() []Rlimit {
	return append([]Rlimit{{Resource: "core"}}, o.Rlimits...)
}

// setRlimits sets the limits of a php-cgi that has just been started. Its children
// inherit them: it forks 25 ms after its start at the earliest, because it reads
// php.ini and loads the extensions first.
func (o Options) setRlimits(pid int) error {
	if !o.canSetRlimits() {
		return nil // prlimitCommand does it
	}
	for _, r := range o.allRlimits() {
		if err := unix.Prlimit(pid, rlimits[r.Resource], &unix.Rlimit{Cur: r.Soft, Max: r.Hard}, nil); err != nil {
			return fmt.Errorf("setting the resource limit %s of php-cgi: %w", r.Resource, err)
		}
	}
	return nil
}

// canSetRlimits reports whether this process may set the limits of a running
// php-cgi. For one of another user that takes CAP_SYS_RESOURCE, which even root does
// not have in an ordinary container.
func (o Options) canSetRlimits() bool {
	if o.Credential == nil || int(o.Credential.UID) == os.Getuid() {
		return true
	}
	return hasCapability(unix.CAP_SYS_RESOURCE)
}

// prlimitCommand returns the prefix of php-cgi's command line if the limits cannot
// be set later: prlimit(1) of util-linux limits itself, as the other user, and then
// executes php-cgi. Alpine does not install it by default; without it, configured
// limits are an error, and the default for core is omitted.
func (o Options) prlimitCommand() ([]string, error) {
	if o.canSetRlimits() {
		return nil, nil
	}
	path, err := exec.LookPath("prlimit")
	if err != nil {
		if len(o.Rlimits) == 0 {
			return nil, nil
		}
		return nil, fmt.Errorf("resource limits for another user need CAP_SYS_RESOURCE or the program prlimit: %w", err)
	}
	args := []string{path}
	for _, r := range o.allRlimits() {
		args = append(args, fmt.Sprintf("--%s=%s:%s", r.Resource, formatLimit(r.Soft), formatLimit(r.Hard)))
	}
	return append(args, "--"), nil
}

func formatLimit(n uint64) string {
	if n == Unlimited {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

const (
	// oomScoreMargin is how far the default oom_score_adj of php-cgi is above ours,
	// so that the kernel kills php-cgi first when memory runs out. The unit is a
	// thousandth of the memory (oom_badness in mm/oom_kill.c): this process is chosen
	// first only if it uses half of the memory more than a worker.
	oomScoreMargin = 500

	// The range of oom_score_adj (include/uapi/linux/oom.h).
	oomScoreAdjMin, oomScoreAdjMax = -1000, 1000
)

// setOOMScore sets the oom_score_adj of a php-cgi that has just been started. Its
// children inherit it; the watchdog keeps ours.
func (o Options) setOOMScore(pid int) error {
	write := func(score int) error {
		return procfs.Inspect(pid, func(dir string) error {
			return os.WriteFile(dir+"/oom_score_adj", []byte(strconv.Itoa(score)), 0)
		})
	}
	if score := o.OOMScoreAdj; score != nil {
		err := write(*score)
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w (a value below that of this process needs CAP_SYS_RESOURCE)", err)
		}
		if err != nil {
			return fmt.Errorf("setting the oom_score_adj %d of php-cgi: %w", *score, err)
		}
		return nil
	}
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return nil //nolint:nilerr // only a default
	}
	own, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil //nolint:nilerr // only a default
	}
	_ = write(min(own+oomScoreMargin, oomScoreAdjMax))
	return nil
}
