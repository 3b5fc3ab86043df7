package fetch

import (
	"context"
	"math/rand/v2"
	"time"
)

// fewAttempts are for failures that are not likely to pass.
const fewAttempts = 4

// jitter spreads d evenly from half to one and a half, so that workers which
// lost a server together do not come back together.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d+1)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
