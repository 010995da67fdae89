package phpbin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

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
