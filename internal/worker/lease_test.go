package worker

import (
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
)

// TestReclaimTime: the lease is extended when 60 to 75 % of it are over, and not
// always at the same moment.
func TestReclaimTime(t *testing.T) {
	t.Parallel()
	received := time.Now()
	claim := queue.Claim{Received: received, Expires: received.Add(1000 * time.Second)}
	first, last := time.Hour, time.Duration(0)
	for range 1000 {
		after := reclaimTime(claim).Sub(received)
		first, last = min(first, after), max(last, after)
	}
	if first < 600*time.Second || first > 650*time.Second || last < 700*time.Second || last > 750*time.Second {
		t.Errorf("of a lease of 1000 s it is extended after %v to %v", first, last)
	}
}
