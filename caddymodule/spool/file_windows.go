package spool

import (
	"os"

	"golang.org/x/sys/windows"
)

// tempFile creates a file. Windows cannot remove its name while it is open.
func tempFile(dir string) (*os.File, error) { return os.CreateTemp(dir, "php_pool-body-") }

// discardFile closes and removes a file of tempFile.
func discardFile(f *os.File) {
	f.Close()           //nolint:errcheck // the content is not needed
	os.Remove(f.Name()) //nolint:errcheck // it stays in the temporary directory
}

// diskFullErrors are the errors of a full disk.
var diskFullErrors = []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL}
