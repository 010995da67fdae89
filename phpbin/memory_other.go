//go:build !linux

package phpbin

import (
	"errors"
	"time"
)

// bootID returns "", so that nothing is remembered.
func bootID() string { return "" }

func fileState(string) string { return "" }

func inputState(string) string { return "" }

func changedSince(string, time.Time) bool { return true }

func ownDir(string) bool { return false }

func readOwn(string, int64) ([]byte, error) { return nil, errors.ErrUnsupported }
