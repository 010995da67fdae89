//go:build unix

package livetest

import "path/filepath"

// listenOn returns the network and the address of a worker, as phpbin has them.
func (s *socketPHP) listenOn(name string) (network, address string) {
	return "unix", filepath.Join(s.dir, name)
}
