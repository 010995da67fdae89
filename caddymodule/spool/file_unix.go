//go:build unix

package spool

import (
	"os"
	"syscall"
)

// tempFile makes a file that has no name any more: whatever happens, nothing
// is left behind.
func tempFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "php_pool-body-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close() // the error above says more
		return nil, err
	}
	return f, nil
}

func discardFile(f *os.File) { f.Close() } // nobody misses its content

// diskFullErrors is what the system says then: no space, or the user's quota is used up.
var diskFullErrors = []error{syscall.ENOSPC, syscall.EDQUOT}
