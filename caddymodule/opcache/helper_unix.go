//go:build unix

package opcache

import (
	"fmt"
	"os"
)

// SinglesShare says whether php-cgi processes that were not forked from one
// another share an OPcache: they have one each.
const SinglesShare = false

// checkSticky refuses a directory in which anybody can put something else
// in the place of what we have made: others may write to it, and it has no
// sticky bit.
func checkSticky(dir string) error {
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
