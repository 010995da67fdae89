package spool

import (
	"os"

	"golang.org/x/sys/windows"
)

// tempFile makes a file; Windows does not remove an open one.
func tempFile(dir string) (*os.File, error) { return os.CreateTemp(dir, "php_pool-body-") }

func discardFile(f *os.File) {
	f.Close()           //nolint:errcheck // nobody misses its content
	os.Remove(f.Name()) //nolint:errcheck // a leftover in the temporary directory
}

// diskFullErrors is what the system says then.
var diskFullErrors = []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL}
