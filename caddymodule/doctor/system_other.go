//go:build !linux

package doctor

// kernel has nothing to check on other systems.
func (*findings) kernel([]Pool) {}
