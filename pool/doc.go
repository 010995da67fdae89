// Package pool manages a pool of FastCGI workers: how many there are, which
// request gets which worker, and when a worker is replaced. It knows neither
// Caddy nor PHP: a [Launcher] provides the workers, and package fastcgi sends
// the requests.
//
// # Terms
//
//   - A worker is one process and the one persistent connection to it.
//   - A generation is all workers of one launcher. [Pool.Restart] and
//     [Pool.Prepare] start the next generation beside the current one; the old
//     one serves its running requests and is then closed.
//   - A slot is the place of one worker in a generation. If php-cgi is shared, its
//     master process keeps a forked child in each slot, used or not.
//   - A lease is the exclusive use of a worker by one request, see [Lease].
//   - A worker drains when its client disconnects while PHP still runs: the pool
//     waits until the script ends, and the slot stays occupied meanwhile.
//
// [Pool.Do] leases a worker, sends the request, and retries it at most once;
// closing the [Response] releases the worker.
//
// # States of a worker
//
//	           launched             leased
//	Starting ───────────► Idle ◄───────────► Busy
//	                       ▲  │  released     │ │
//	         script ended  │  │ stopped       │ │ client disconnected, PHP runs
//	                       │  ▼               │ ▼
//	                       │ Stopping ◄───────┘ Draining
//	                       │  │   ▲               │ │
//	                       │  ▼   └───────────────┘ │
//	                       │ Gone                   │
//	                       └────────────────────────┘
//
// The [State] says whether a worker can get a request, the [Reason] why it
// is stopped. Workers in the state Starting are only counted: they have no ID yet.
//
// # Growing and queueing
//
// If no worker is idle, a request enters the queue and, below MaxWorkers, a
// launch starts at once, so that the pool grows with the demand. The launch belongs to the pool: it
// continues if the request gives up, and the request that has waited longest
// gets the next worker, launched or released. With Settings.MaxPerClient, the
// requests of one client beyond its limit wait outside the queue.
//
// Health checks and [Pool.Query] use idle workers only and do not count as
// requests.
//
// # Locking
//
// Pool.mu guards all state of the pool, its workers and its generations. While
// it is held there is no I/O, no callback and no blocking send; functions that
// need it end in Locked. Anything slow runs in a goroutine of the pool (see
// goLocked), which locks the mutex again to record the result. Only moveLocked
// changes the state of a worker. The holder of a lease uses the worker's
// connection and process without the mutex.
package pool
