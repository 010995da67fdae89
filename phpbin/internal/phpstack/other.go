//go:build !linux

package phpstack

import (
	"errors"
	"fmt"
	"net"
)

// Cache is empty: the memory of another process is read on Linux only.
type Cache struct{}

// Backtrace returns errors.ErrUnsupported.
func (*Cache) Backtrace(int, int) ([]Frame, error) {
	return nil, fmt.Errorf("the memory of another process is read on Linux only: %w", errors.ErrUnsupported)
}

// BlockedOn returns errors.ErrUnsupported.
func BlockedOn(int, net.Conn) (Wait, error) { return Wait{}, errors.ErrUnsupported }
