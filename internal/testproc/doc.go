// Package testproc observes processes for tests, on Linux.
package testproc
