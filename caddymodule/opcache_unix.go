//go:build unix

package caddymodule

import (
	"fmt"
	"os"
)

// singlesShareOPcache: php-cgi processes that were not forked from one another
// have an OPcache each.
const singlesShareOPcache = false

// onlyOwnersRename refuses a directory in which anybody can put something else
// in the place of what we have made: others may write to it, and it has no
// sticky bit.
func onlyOwnersRename(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("others may rename files in %s (mode %v): give it the sticky bit (chmod +t), "+
			"or set TMPDIR to a directory that has it", dir, info.Mode())
	}
	return nil
}
