//go:build !linux

package phpbin

// unusedChildren are none: there is no master.
func (s *Shared) unusedChildren() []*peer { return nil }
