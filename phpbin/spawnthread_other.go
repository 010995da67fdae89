//go:build !linux

package phpbin

import (
	"errors"
	"fmt"
)

func onMainThread() bool { return false }

func prepareThread(Options) error { return nil }

func (o Options) validatePlatform() error {
	if o.Umask != nil || o.Nice != 0 || o.NoNewPrivs || len(o.Rlimits) > 0 || o.OOMScoreAdj != nil {
		return fmt.Errorf("umask, niceness, resource limits, oom_score_adj and no_new_privs: %w on this system", errors.ErrUnsupported)
	}
	return nil
}

func (o Options) setRlimits(int) error { return nil }

func (o Options) setOOMScore(int) error { return nil }

func (o Options) prlimitCommand() ([]string, error) { return nil, nil }
