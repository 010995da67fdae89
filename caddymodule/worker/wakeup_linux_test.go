package worker_test

import (
	"testing"

	"github.com/mevdschee/caddy-php-pool/internal/testproc"
)

// TestRequest_WakesPHPOnce counts how often a worker script goes to sleep: reading its
// responses must not wake it, although the connection does not peek.
func TestRequest_WakesPHPOnce(t *testing.T) {
	w := newSite(t, `<?php while (frankenphp_handle_request(static function () { echo 'Hello'; })) {}`).start().mustLaunch()
	const requests = 300
	n := testproc.Sleeps(t, w.PID(), requests, small(t, w))
	if n < requests || n > requests*11/10 {
		t.Errorf("PHP went to sleep %d times in %d requests", n, requests)
	}
}
