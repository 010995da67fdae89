//go:build !linux

package phpbin

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// bootID returns "", so that nothing is remembered.
func bootID() string { return "" }

func fileState(string) string { return "" }

func inputState(string) string { return "" }

func changedSince(string, time.Time) bool { return true }

func openOwnDir(string) (*os.Root, error) { return nil, errors.ErrUnsupported }

func isOwnFile(fs.FileInfo) bool { return false }
