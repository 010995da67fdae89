package instructions

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestWhatWaitsForAThreadThatStandsStillIsGivenUp has the watched thread wait
// for another one, which never comes to run.
func TestWhatWaitsForAThreadThatStandsStillIsGivenUp(t *testing.T) {
	if os.Getenv(variable) == t.Name() {
		question, answer := make(chan int), make(chan int)
		go func() {
			runtime.LockOSThread()
			for n := range question {
				answer <- n
			}
		}()
		repeat(func() {
			question <- 1
			<-answer
		})
	}
	defer func(d time.Duration) { stalled = d }(stalled)
	stalled = 300 * time.Millisecond
	_, err := countOnce(t.Name())
	if errors.Is(err, errRefused) {
		t.Skipf("NOT MEASURED: %v", err)
	}
	if !errors.Is(err, errStalled) {
		t.Errorf("got %v, want %v", err, errStalled)
	}
}
