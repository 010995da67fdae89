package worker_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRequest_WakesPHPOnce counts the voluntary context switches of a worker script:
// reading its responses must not wake it, although the connection does not peek. Each
// request waits until PHP sleeps, so that none finds it awake.
func TestRequest_WakesPHPOnce(t *testing.T) {
	w := newSite(t, `<?php while (frankenphp_handle_request(static function () { echo 'Hello'; })) {}`).start().mustLaunch()
	send := small(t, w)
	proc := func(name string) string {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", w.PID(), name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	switches := func() (n int) {
		_, line, _ := strings.Cut(proc("status"), "\nvoluntary_ctxt_switches:")
		if _, err := fmt.Sscan(line, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const requests = 300
	send()
	// A busy machine adds some to a part of the attempts.
	least := 2 * requests
	for attempt := 0; attempt < 5 && least > requests*11/10; attempt++ {
		before := switches()
		for range requests {
			send()
			for start := time.Now(); !strings.Contains(proc("stat"), ") S "); time.Sleep(10 * time.Microsecond) {
				if time.Since(start) > waitLimit {
					t.Fatal("PHP does not sleep")
				}
			}
		}
		least = min(least, switches()-before)
	}
	if least < requests || least > requests*11/10 {
		t.Errorf("PHP went to sleep %d times in %d requests", least, requests)
	}
}
