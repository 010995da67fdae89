//go:build !linux

package phpbin

import (
	"errors"
	"syscall"
	"time"
)

type stat struct{ ppid int }

func readStat(int) (stat, error)      { return stat{}, errors.ErrUnsupported }
func usage(int) (int64, int64, error) { return 0, 0, errors.ErrUnsupported }
func cpuTime(int) time.Duration       { return 0 }

func killCopies(int, func() bool) {}

// softTimeout is not to be had: Apple Silicon's PHP uses another signal, and
// Windows has none.
const softTimeout = syscall.Signal(0)
