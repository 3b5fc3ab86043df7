package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/taskcluster/generic-worker/internal/backoff"
)

// retry repeats attempt until it succeeds, fails for good, or k's bound is met.
func (c *Client) retry(ctx context.Context, k *call, attempt func() error) error {
	limits := c.Limits.withDefaults()
	started := time.Now()
	pause := limits.FirstPause
	resigned := false
	for n := 1; ; n++ {
		err := attempt()
		if err == nil {
			return nil
		}
		passing, ok := errors.AsType[*transient](err)
		if !ok {
			if !k.once && !resigned && c.stale(k, err) {
				resigned = true
				continue
			}
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("cannot call %s: %w", k.target(), context.Cause(ctx))
		}
		wait := max(backoff.Jitter(pause), min(passing.after, limits.RetryAfter))
		if k.once || !k.endless && time.Since(started)+wait > limits.Elapsed {
			return fmt.Errorf("cannot call %s (attempt %d): %w: %w", k.target(), n, ErrUnavailable, err)
		}
		c.logger().Warn("queue call failed, trying again", "call", k.name, "route", k.route,
			"attempt", n, "wait", wait.Round(time.Millisecond), "error", passing.err)
		if err := backoff.Sleep(ctx, wait); err != nil {
			return fmt.Errorf("cannot call %s: %w", k.target(), err)
		}
		pause = min(2*pause, limits.MaxPause)
	}
}

// RetryAfter returns how long the queue asked, by its last answer, to wait
// before the call that ended with err is made again; zero if it did not ask.
// It never asks for more than 5 minutes.
func RetryAfter(err error) time.Duration {
	if passing, ok := errors.AsType[*transient](err); ok {
		return min(passing.after, Limits{}.withDefaults().RetryAfter)
	}
	return 0
}
