package phpbin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// rlimits are known to prlimit(1) by the same names.
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

func (o Options) validatePlatform() error {
	for _, r := range o.Rlimits {
		if _, ok := rlimits[r.Resource]; !ok {
			names := make([]string, 0, len(rlimits))
			for name := range rlimits {
				names = append(names, name)
			}
			slices.Sort(names)
			return fmt.Errorf("there is no resource limit %q, only %s", r.Resource, strings.Join(names, ", "))
		}
		if r.Soft > r.Hard {
			return fmt.Errorf("the soft limit of %s, %d, is above the hard one, %d", r.Resource, r.Soft, r.Hard)
		}
	}
	if n := o.OOMScoreAdj; n != nil && (*n < oomScoreAdjMin || *n > oomScoreAdjMax) {
		return fmt.Errorf("oom_score_adj %d is not between %d and %d", *n, oomScoreAdjMin, oomScoreAdjMax)
	}
	return nil
}

// allRlimits is what is set, with what is set unless configured.
func (o Options) allRlimits() []Rlimit {
	return append([]Rlimit{{Resource: "core"}}, o.Rlimits...)
}

// limit bounds the resources of a php-cgi that has just been started. What it
// forks inherits them, and it forks 25 ms after its start at the earliest: its
// start-up reads php.ini and loads the extensions first.
func (o Options) setRlimits(pid int) error {
	if !o.canSetRlimits() {
		return nil // limiter does it
	}
	for _, r := range o.allRlimits() {
		if err := unix.Prlimit(pid, rlimits[r.Resource], &unix.Rlimit{Cur: r.Soft, Max: r.Hard}, nil); err != nil {
			return fmt.Errorf("setting the resource limit %s of php-cgi: %w", r.Resource, err)
		}
	}
	return nil
}

// canSetRlimits reports whether we may limit a php-cgi that runs: for another user
// that takes CAP_SYS_RESOURCE, which not even root has in an ordinary container.
func (o Options) canSetRlimits() bool {
	if o.Credential == nil || int(o.Credential.UID) == os.Getuid() {
		return true
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err := unix.Capget(&header, &data[0])
	return err == nil && data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

// limiter is what php-cgi's command line begins with where we may not limit it
// later: prlimit(1) of util-linux limits itself, as the other user, and becomes
// php-cgi. Alpine has none unless installed; there a limit that was asked for
// is an error, and that of core dumps is left out.
func (o Options) prlimitCommand() ([]string, error) {
	if o.canSetRlimits() {
		return nil, nil
	}
	path, err := exec.LookPath("prlimit")
	if err != nil {
		if len(o.Rlimits) == 0 {
			return nil, nil
		}
		return nil, fmt.Errorf("resource limits for another user need CAP_SYS_RESOURCE, or the program prlimit: %w", err)
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
	// oomScoreMargin is how much rather than us the kernel is to kill php-cgi when
	// memory runs out. The unit is a thousandth of the memory there is
	// (oom_badness in mm/oom_kill.c): so we are hit first only when we use more
	// than a worker and half of the memory.
	oomScoreMargin = 500

	// The bounds of oom_score_adj (include/uapi/linux/oom.h).
	oomScoreAdjMin, oomScoreAdjMax = -1000, 1000
)

// oomScoreAdj tells the kernel how readily to kill a php-cgi that has just been
// started, and what it will fork. The watchdog is left as we are.
func (o Options) setOOMScore(pid int) error {
	path := fmt.Sprintf("/proc/%d/oom_score_adj", pid)
	if want := o.OOMScoreAdj; want != nil {
		err := os.WriteFile(path, []byte(strconv.Itoa(*want)), 0)
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w (less than what this process has itself takes CAP_SYS_RESOURCE)", err)
		}
		if err != nil {
			return fmt.Errorf("setting the oom_score_adj %d of php-cgi: %w", *want, err)
		}
		return nil
	}
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return nil //nolint:nilerr // nobody asked for it
	}
	own, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil //nolint:nilerr // the same
	}
	_ = os.WriteFile(path, []byte(strconv.Itoa(min(own+oomScoreMargin, oomScoreAdjMax))), 0)
	return nil
}
