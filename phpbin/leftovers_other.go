//go:build !linux

package phpbin

// EndLeftovers does nothing: only Linux shows who holds which socket. On
// Windows nothing is left, the job object sees to that.
func EndLeftovers(...Options) ([]Leftover, error) { return nil, nil }
