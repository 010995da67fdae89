//go:build !race

package pool

import (
	"testing"

	"github.com/mevdschee/caddy-php-pool/internal/instructions"
)

// TestInstructionsOfALease: where a worker is idle.
func TestInstructionsOfALease(t *testing.T) {
	p := benchPool(t, 4)
	instructions.Hold(t, 1860, func() {
		l, err := p.Acquire(t.Context(), benchInfo)
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
	})
}
