package phpbin

import (
	"testing"
	"time"
)

// SetChildrenTick changes how often the children of masters are listed, until the test
// ends.
func SetChildrenTick(t *testing.T, d time.Duration) {
	t.Helper()
	before := childrenTick
	childrenTick = d
	t.Cleanup(func() { childrenTick = before })
}
