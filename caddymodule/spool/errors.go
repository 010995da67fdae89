package spool

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dustin/go-humanize"
)

// TooLargeError means that a body exceeds max_body, or that all bodies in files
// together would exceed spool_max.
type TooLargeError struct {
	Option string // max_body or spool_max
	Limit  int64  // its value in bytes
}

// Error implements error.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("request body exceeds %s (%s)", e.Option, humanize.IBytes(uint64(e.Limit)))
}

func maxBodyError(limit int64) error { return &TooLargeError{"max_body", limit} }

// FileError means that a body could not be stored in a file.
type FileError struct {
	Err      error
	DiskFull bool // the disk is full, or the user's quota is exhausted
}

func fileError(err error) *FileError {
	isErr := func(target error) bool { return errors.Is(err, target) }
	return &FileError{err, slices.ContainsFunc(diskFullErrors, isErr)}
}

// Error implements error.
func (e *FileError) Error() string { return "storing the request body: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }
