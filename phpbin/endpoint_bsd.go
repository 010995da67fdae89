//go:build unix && !linux

package phpbin

// unlink leaves the socket where it is: only Linux can reach it without a path.
func (e *endpoint) unlink() {}

// mark is empty: only Linux shows who holds which socket.
func ownTag() string { return "" }
