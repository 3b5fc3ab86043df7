package pace

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
)

// TestQ14Pace: no pause while the queue long-polls or has tasks, growing pauses
// up to half a minute while it fails or answers nothing at once.
func TestQ14Pace(t *testing.T) {
	t.Parallel()
	fails := errors.New("reset")
	for _, row := range []struct {
		name       string
		n          int
		err        error
		took       time.Duration
		times      int
		least, max time.Duration
	}{
		{"tasks", 1, nil, time.Millisecond, 5, 0, 0},
		{"empty long poll", 0, nil, 20 * time.Second, 5, 0, 0},
		{"broken long poll, first", 0, nil, time.Millisecond, 1, 500 * time.Millisecond, 1500 * time.Millisecond},
		{"broken long poll, for long", 0, nil, time.Millisecond, 20, 15 * time.Second, 30 * time.Second},
		{"error, first", 0, fails, time.Second, 1, 500 * time.Millisecond, 1500 * time.Millisecond},
		{"error, for long", 0, fails, time.Minute, 20, 15 * time.Second, 30 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var p Pace
			var got time.Duration
			for range row.times {
				got = p.After(row.n, row.err, row.took)
			}
			if got < row.least || got > row.max {
				t.Errorf("pause of %v, not between %v and %v", got, row.least, row.max)
			}
			if again := p.After(1, nil, 0); again != 0 {
				t.Errorf("pause of %v after a task", again)
			}
		})
	}
}

// TestT5RefusedCredentials: how long the queue has refused the worker is
// counted from the first refusal after the last answer.
func TestT5RefusedCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p Pace
		refusal := &queue.Error{Status: 401}
		p.After(0, refusal, 0)
		time.Sleep(3 * time.Minute)
		p.After(0, refusal, 0)
		if got, _ := p.RefusedFor(); got != 3*time.Minute {
			t.Errorf("refused for %v", got)
		}
		p.After(0, errors.New("reset"), 0)
		if got, _ := p.RefusedFor(); got != 0 {
			t.Errorf("refused for %v after another kind of error", got)
		}
	})
}

// TestL7Misfits: runs in a row that this machine could not run make claims rarer.
func TestL7Misfits(t *testing.T) {
	t.Parallel()
	var p Pace
	for misfits, want := range map[int]time.Duration{1: 0, 2: 0, 3: time.Minute, 4: 2 * time.Minute} {
		p.Slow(misfits)
		if got := p.After(1, nil, 0); got != want {
			t.Errorf("after %d misfits claims pause for %v, not %v", misfits, got, want)
		}
	}
}
