//go:build unix

package caddymodule

import "os"

func isRoot() bool { return os.Geteuid() == 0 }
