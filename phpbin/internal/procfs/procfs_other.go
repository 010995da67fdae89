//go:build !linux

package procfs

import (
	"errors"
	"time"
)

// ReadStat returns errors.ErrUnsupported.
func ReadStat(int) (Stat, error) { return Stat{}, errors.ErrUnsupported }

// PrivateMemory returns errors.ErrUnsupported.
func PrivateMemory(int) (int64, error) { return 0, errors.ErrUnsupported }

// CPUTime returns 0.
func CPUTime(int) time.Duration { return 0 }
