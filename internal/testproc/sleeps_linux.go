package testproc

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// limit is how long a process may take until it sleeps.
const limit = 20 * time.Second

// Sleeps returns how often a process goes to sleep in so many requests: its voluntary
// context switches. Before each request it waits until the process sleeps, so that none
// finds it awake. A busy machine adds some to a part of the attempts, so the least of up
// to five counts.
func Sleeps(tb testing.TB, pid, requests int, request func()) int {
	tb.Helper()
	least := 2 * requests
	for attempt := 0; attempt < 5 && least > requests*11/10; attempt++ {
		before := switches(tb, pid)
		for range requests {
			request()
			awaitSleep(tb, pid)
		}
		least = min(least, switches(tb, pid)-before)
	}
	return least
}

// switches returns how often the process has gone to sleep so far.
func switches(tb testing.TB, pid int) (n int) {
	tb.Helper()
	_, line, _ := strings.Cut(read(tb, pid, "status"), "\nvoluntary_ctxt_switches:")
	if _, err := fmt.Sscan(line, &n); err != nil {
		tb.Fatal(err)
	}
	return n
}

// awaitSleep waits until the process is in an interruptible sleep.
func awaitSleep(tb testing.TB, pid int) {
	tb.Helper()
	for end := time.Now().Add(limit); !strings.Contains(read(tb, pid, "stat"), ") S "); time.Sleep(10 * time.Microsecond) {
		if time.Now().After(end) {
			tb.Fatalf("process %d does not sleep", pid)
		}
	}
}

func read(tb testing.TB, pid int, name string) string {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}
