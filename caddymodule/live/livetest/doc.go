// Package livetest creates pools for tests. Their workers are goroutines of the
// test instead of php-cgi processes.
package livetest
