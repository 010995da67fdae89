//go:build unix

package fpm

import (
	"fmt"
	"os"
	"strconv"
)

// writePID writes php-fpm's pid file.
func writePID(path string) error {
	if path == "" {
		return nil
	}
	os.Remove(path)                                                       // a link that another user may have made in a directory such as /run/php
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // readable, as php-fpm's
	if err != nil {
		return fmt.Errorf("unable to create the PID file: %w", err)
	}
	_, err = f.WriteString(strconv.Itoa(os.Getpid()))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
