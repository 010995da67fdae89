//go:build !linux

package confine

import "errors"

// Detect returns no support: Landlock is a part of Linux.
func Detect() Support { return Support{Err: errors.ErrUnsupported} }

// CheckHidden returns an error: nothing can be hidden.
func CheckHidden(string, []string) error { return errors.ErrUnsupported }

// Names returns nothing.
func Names(Config) string { return "" }
