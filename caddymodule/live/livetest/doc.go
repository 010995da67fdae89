// Package livetest makes pools for tests: their workers are goroutines of the
// test instead of php-cgi processes.
package livetest
