//go:build linux && !amd64

package phpstack

var legacyCallNames map[uint64]string
