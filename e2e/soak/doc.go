// Package soak has the tests that need much time or many resources: killed workers
// under load, leaks, hundreds of pools and workers, thousands of connections.
package soak
