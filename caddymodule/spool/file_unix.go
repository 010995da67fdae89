//go:build unix

package spool

import (
	"os"
	"syscall"
)

// tempFile creates a file and removes its name, so that it disappears when it is
// closed or the process ends.
func tempFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "php_pool-body-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close() // the error of Remove says more
		return nil, err
	}
	return f, nil
}

// discardFile closes and so deletes a file of tempFile.
func discardFile(f *os.File) { f.Close() } // the content is not needed

// diskFullErrors are the errors of a full disk and of an exhausted quota.
var diskFullErrors = []error{syscall.ENOSPC, syscall.EDQUOT}
