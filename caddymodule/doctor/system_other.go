//go:build !linux

package doctor

// sharedIsDefault reports whether `spawn shared` is the default.
const sharedIsDefault = false

// kernel has nothing to check on other systems.
func (*findings) kernel([]Pool) {}
