//go:build !linux

package osthread

func onMainThread() bool { return false }
