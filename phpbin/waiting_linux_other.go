//go:build linux && !amd64

package phpbin

var olderCalls map[uint64]string
