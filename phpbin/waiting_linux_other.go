//go:build linux && !amd64

package phpbin

var legacyCallNames map[uint64]string
