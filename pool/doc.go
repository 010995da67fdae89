// Package pool decides how many workers there are, who gets one, and when one
// must go. It knows nothing of Caddy or PHP: workers come from a [Launcher],
// requests go out by package fastcgi.
//
// A worker is one process slot and one connection; they are born and die
// together. Workers started from one launcher are a generation. [Pool.Do]
// leases a worker to a request, sends it, and repeats it at most once; closing
// the [Exchange] gives the worker back.
//
//	           launched             leased
//	Starting ───────────► Idle ◄───────────► Busy
//	                       ▲  │               │ │
//	      PHP has finished │  │ told to end   │ │ the client left, PHP runs on
//	                       │  ▼               │ ▼
//	                       │ Stopping ◄───────┘ Draining
//	                       │  │   ▲               │ │
//	                       │  ▼   └───────────────┘ │
//	                       │ Gone                   │
//	                       └────────────────────────┘
//
// A State says whether a worker may get a request, a [Reason] why it leaves.
// Starting has no worker yet: it is a number.
//
// One mutex guards everything (see Pool). Under it there is no I/O, no log of
// the hot path and no blocking send; what takes time runs in a goroutine of
// Pool.tasks, and takes the mutex again to tell how it went. Only moveLocked
// changes a state.
//
// When a request finds no idle worker it goes in line and a launch is begun in
// the same step, so that a pool grows with the demand and not with a clock.
// The launch belongs to the pool: a request that leaves the line does not stop
// it, and whoever is first gets the worker, be it new or released.
//
// A busy worker gets no further request, though PHP would find it in its socket
// and never sleep under load. Tried with a script that does nothing and 16
// clients, that was 1.15 times the requests a second and 0.88 of the CPU, but
// 1.8 times the 99th percentile: who stands behind one worker waits until the
// system lets that one run, instead of getting whichever is free first, and
// what stands in a socket cannot be taken back when the script before it turns
// out to be slow.
//
// Where Settings.MaxPerClient bounds what one client has, a request over it is
// held outside the line until another one of that client has ended
// (perclient.go): nobody stands behind it, and no launch is begun for it.
//
// Questions of our own, the health probe and [Pool.Query], go to idle workers
// only. They are no requests: nothing is counted, the worker is as good as idle
// meanwhile, and afterwards stands where it stood.
//
// A worker whose client leaves is not stopped: PHP notices a closed connection
// at its next write, and ignore_user_abort keeps its meaning. Its slot is free
// when a process answers in it again ([Process].Drain).
package pool
