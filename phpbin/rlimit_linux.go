package phpbin

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
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
