package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
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
		wait := max(jitter(pause), min(passing.after, limits.RetryAfter))
		if k.once || !k.endless && time.Since(started)+wait > limits.Elapsed {
			return fmt.Errorf("cannot call %s (attempt %d): %w: %w", k.target(), n, ErrUnavailable, err)
		}
		c.logger().Warn("queue call failed, trying again", "call", k.name, "route", k.route,
			"attempt", n, "wait", wait.Round(time.Millisecond), "error", passing.err)
		if err := sleep(ctx, wait); err != nil {
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

// jitter spreads d evenly from half to one and a half, so that workers which
// lost the queue together do not come back together.
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

// retryAfter reads a Retry-After header: seconds, or a date by the queue's clock.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(0, at.Sub(now))
}
