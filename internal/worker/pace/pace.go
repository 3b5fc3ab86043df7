// Package pace says when a worker asks for its next task: never so often that a
// queue, or a machine that is broken or full, suffers from it.
package pace

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
)

const (
	// shortestPoll is the least a claim without an answer takes if the queue's
	// long poll works.
	shortestPoll = time.Second
	// longestPause is the longest time between two claims.
	longestPause = 30 * time.Second
	// slowAfter counts runs in a row that could not be run for reasons of this
	// machine: then claims slow down.
	slowAfter = 3
)

// Pace says how long to wait before the next claim: not at all while the queue
// long-polls as it should, ever longer while it fails or answers at once with
// nothing. The zero value is ready.
type Pace struct {
	gap          time.Duration
	extra        time.Duration // because of misfits
	refusedSince time.Time
	refusal      error
}

// After returns the time to wait after a claim that got n runs or an error and
// took the given time.
func (p *Pace) After(n int, err error, took time.Duration) time.Duration {
	p.remember(err)
	extra := p.extra
	p.extra = 0
	if err == nil && (n > 0 || took >= shortestPoll) {
		p.gap = 0
		return extra
	}
	p.gap = min(max(2*p.gap, time.Second), longestPause)
	jitter := 0.5 + rand.Float64()
	return max(extra, queue.RetryAfter(err), min(longestPause, time.Duration(float64(p.gap)*jitter)))
}

func (p *Pace) remember(err error) {
	switch {
	case !errors.Is(err, queue.ErrUnauthorized):
		p.refusedSince, p.refusal = time.Time{}, nil
	case p.refusedSince.IsZero():
		p.refusedSince, p.refusal = time.Now(), err
	}
}

// RefusedFor is how long the queue has been refusing this worker's credentials, and
// what it says.
func (p *Pace) RefusedFor() (time.Duration, error) {
	if p.refusedSince.IsZero() {
		return 0, nil
	}
	return time.Since(p.refusedSince), p.refusal
}

// Slow makes the next claim wait after several misfits in a row: a broken
// machine must not eat the whole queue.
func (p *Pace) Slow(misfits int) {
	if misfits >= slowAfter {
		p.extra = min(10*time.Minute, time.Minute<<(misfits-slowAfter))
	}
}
