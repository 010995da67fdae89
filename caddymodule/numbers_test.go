package caddymodule

import "testing"

// Numbers outside of their range are errors, and not other names of "no limit".
func TestCaddyfile_NumbersOutOfRange(t *testing.T) {
	for line, want := range map[string]string{
		"max_requests -1":      "max_requests -1 is not a number of requests: write a number of at least 1, or off",
		"max_requests many":    "max_requests many is not a number of requests: write a number of at least 1, or off",
		"max_per_client -1":    "max_per_client -1 is not a number of workers: write a number of at least 1, or off",
		"max_workers -1":       "max_workers -1: a pool needs at least 1 worker; write a number, or auto",
		"workers -1":           "workers -1: a pool needs at least 1 worker; write a number from 1 to 10000",
		"quarantine -1 1m 1m":  "quarantine -1 is not a number of crashes: write a number of at least 1, or off",
		"max_memory -1":        "max_memory -1 is not a size: write one such as 64KiB, 10MB or 1GiB",
		"spool_max -1":         "spool_max -1 is not a size: write one such as 64KiB, 10MB or 1GiB",
		"max_age -1s":          "max_age -1s is not a duration: write one such as 500ms, 30s, 10m or 1h",
		"request_timeout -1":   "request_timeout -1 is not a duration: write one such as 500ms, 30s, 10m or 1h",
		"rlimit_core -1":       "rlimit_core -1 is not a limit: write a number of at least 0, or unlimited",
		"rlimit_nofile plenty": "rlimit_nofile plenty is not a limit: write a number of at least 0, or unlimited",
	} {
		for _, where := range []place{inSite, inGlobal} {
			if got := adaptError(t, where, line); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	}
}
