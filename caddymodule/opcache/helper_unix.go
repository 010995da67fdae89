//go:build unix

package opcache

import (
	"fmt"
	"os"
)

// SinglesShare reports whether php-cgi processes that were not forked from a common
// parent share an OPcache. On Unix each has its own.
const SinglesShare = false

// checkSticky returns an error if other users could replace our files in dir: they
// may write to it, and it does not have the sticky bit.
func checkSticky(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("other users may rename files in %s (mode %v): set its sticky bit (chmod +t), "+
			"or set TMPDIR to a directory that has it", dir, info.Mode())
	}
	return nil
}
