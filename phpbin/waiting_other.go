//go:build !linux

package phpbin

import "errors"

func (p *Process) waiting() (Wait, error) { return Wait{}, errors.ErrUnsupported }
