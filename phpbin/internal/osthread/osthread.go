// Package osthread runs functions on dedicated operating-system threads, for
// attributes that Linux keeps per thread: the file system user, the umask, the
// niceness, capabilities.
package osthread

import "runtime"

// Go runs f in a goroutine on a thread that runs nothing else. The thread ends
// with f, so f may change its attributes.
func Go(f func()) { go runLocked(f) }

// runLocked never uses the main thread, which cannot end and is the one that ps
// and /proc/PID show: if the scheduler has put us there, it occupies that thread
// until f runs on another one.
func runLocked(f func()) {
	runtime.LockOSThread() // not unlocked where f runs, so the thread ends
	if !onMainThread() {
		f()
		return
	}
	elsewhere := make(chan struct{})
	go runLocked(func() {
		close(elsewhere)
		f()
	})
	<-elsewhere
	runtime.UnlockOSThread()
}
