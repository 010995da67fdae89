//go:build !linux

package phpbin

// count returns how many of what we started have not ended.
func (g *group) running() int {
	g.pidsMu.Lock()
	defer g.pidsMu.Unlock()
	return len(g.pids)
}
