//go:build unix

package poolcfg

import "os"

func isRoot() bool { return os.Geteuid() == 0 }
