// Package phpstack reads, from outside, what a running PHP does: the stack of its
// script ([Cache.Backtrace]) and what the process waits for ([BlockedOn]). It reads
// /proc and the memory of the process (process_vm_readv(2)) and does not stop it: a
// stack of ten calls takes 0.3 ms.
//
// The stack is found by executor_globals, a symbol that php-cgi exports for its
// extensions, and followed by the layout of PHP's structures, which is determined by
// the API number in the binary. The script runs on meanwhile, so everything is read
// several times, and only calls that stayed the same are returned.
//
// It needs Linux; elsewhere it returns errors.ErrUnsupported.
package phpstack
