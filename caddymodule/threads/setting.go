package threads

import (
	"fmt"
	"strconv"
)

// Setting is the option threads: `off` leaves GOMAXPROCS alone, `auto` adapts it, a number
// is the limit. The empty text is auto on Linux with two CPUs, unless GOMAXPROCS is in the
// environment, and else off.
type Setting string

// The settings that are not a number.
const (
	Off  Setting = "off"
	Auto Setting = "auto"
)

// Validate returns an error for a text that is neither auto, off nor a number of at least
// 1.
func (s Setting) Validate() error {
	_, err := s.limit()
	return err
}

// limit returns the number; 0 if s is not one.
func (s Setting) limit() (int, error) {
	switch s {
	case "", Off, Auto:
		return 0, nil
	}
	n, err := strconv.Atoi(string(s))
	if err != nil || n < 1 {
		return 0, fmt.Errorf("threads %s: write auto, off or a number of at least 1", s)
	}
	return n, nil
}
