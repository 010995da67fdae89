//go:build !linux

package phpbin

func reapOrphans() {}
