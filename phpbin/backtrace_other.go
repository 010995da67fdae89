//go:build !linux

package phpbin

import (
	"errors"
	"fmt"
)

type binaryCache struct{}

func (g *group) binaryCache() *binaryCache { return nil }

func (p *Process) backtrace(int) ([]Frame, error) {
	return nil, fmt.Errorf("the memory of another process is read on Linux only: %w", errors.ErrUnsupported)
}
