// Package threads limits how many CPUs Caddy uses at once, which is Go's GOMAXPROCS, so
// that PHP has the others. Two goroutines that only pass a request on run faster in turns
// on one thread than on two that wake each other while PHP wants their CPU.
package threads
