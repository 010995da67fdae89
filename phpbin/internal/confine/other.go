//go:build !linux

package confine

import "errors"

// Detect returns no support: Landlock is a part of Linux.
func Detect() Support { return Support{Err: errors.ErrUnsupported} }

// Prepare does nothing.
func (Support) Prepare(Config) {}

// Forget does nothing.
func Forget() {}

// CheckHidden returns an error: nothing can be hidden.
func CheckHidden(string, []string) error { return errors.ErrUnsupported }

// Explain returns nil: nothing is confined.
func Explain(Config, string, string) error { return nil }

// Names returns nothing.
func Names(Config) string { return "" }
