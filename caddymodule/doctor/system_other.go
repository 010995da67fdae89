//go:build !linux

package doctor

// sharedIsDefault says how workers are started unless a pool says otherwise.
const sharedIsDefault = false

// kernel: what it looks at elsewhere is Linux's own.
func (*findings) kernel([]Pool) {}
