//go:build !linux

package phpbin

// standbys are none: there is no master.
func (s *Shared) standbys() []*peer { return nil }
