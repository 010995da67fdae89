// Package threads limits how many CPUs Caddy uses at once, which is Go's GOMAXPROCS, so
// that PHP has the others. Two goroutines that only pass a request on run faster in turns
// on one thread than on two that wake each other while PHP wants their CPU.
//
// Which number is best depends on the machine and the load, and nothing that can be
// measured with one number tells whether another would be better. So the setting auto
// compares them (control.go) by what Caddy is there for: requests per second and the CPU
// time for each.
package threads
