package live

import (
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
)

var exiting atomic.Bool

// Exit says that the process stops Caddy in order to exit, where Caddy does not know: it
// stops the config itself, without one of Caddy's signals or commands.
func Exit() { exiting.Store(true) }

// Exiting reports whether the process is about to exit.
func Exiting() bool { return exiting.Load() || caddy.Exiting() }
