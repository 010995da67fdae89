//go:build !linux

package phpbin

// KillOrphans does nothing: only Linux shows who holds which socket. On
// Windows nothing is left, the job object sees to that.
func KillOrphans(...Options) ([]Orphan, error) { return nil, nil }
