package spool

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dustin/go-humanize"
)

// TooLargeError refuses a body that has more bytes than an option allows, or
// does not fit in what that grants to all.
type TooLargeError struct {
	Option string // as it is written in the configuration
	Limit  int64
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the request body is larger than %s (%s) allows", e.Option, humanize.IBytes(uint64(e.Limit)))
}

func maxBodyError(limit int64) error { return &TooLargeError{"max_body", limit} }

// FileError is why a body could not be kept in a file.
type FileError struct {
	Err      error
	DiskFull bool // there was no room for it
}

func fileError(err error) *FileError {
	full := func(known error) bool { return errors.Is(err, known) }
	return &FileError{err, slices.ContainsFunc(diskFullErrors, full)}
}

func (e *FileError) Error() string { return "keeping the request body: " + e.Err.Error() }

func (e *FileError) Unwrap() error { return e.Err }
