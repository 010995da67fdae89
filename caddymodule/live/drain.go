package live

// SetDrained makes [Pool.Unready] report that clients should be sent to other machines,
// or undoes that. The pool serves as before. It is kept over a reload, but not when
// Caddy is restarted.
func (p *Pool) SetDrained(drained bool) {
	if p.drained.Swap(drained) == drained {
		return
	}
	if drained {
		p.logger.Info("pool drained by request: its ping responds with 503")
		return
	}
	p.logger.Info("pool no longer drained")
}

// Drained reports whether the pool is drained.
func (p *Pool) Drained() bool { return p.drained.Load() }

// Unready returns why clients should be sent to other machines although the pool can
// serve them: [Stopping], [Draining], or "" if they should not.
func (p *Pool) Unready() string {
	switch {
	case Exiting():
		return Stopping
	case p.Drained():
		return Draining
	}
	return ""
}

// The results of [Pool.Unready], which are also the responses to a ping.
const (
	Stopping = "stopping"
	Draining = "draining"
)
