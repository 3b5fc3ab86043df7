package worker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/task"
)

// eager is a queue that always has a run; nothing is done with it.
type eager struct {
	Queue
	claims atomic.Int32
}

func (q *eager) Claim(context.Context, queue.Worker, int) ([]queue.Claim, error) {
	q.claims.Add(1)
	return nil, nil
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// short is a shift whose disks are short until that moment.
func short(log io.Writer, q *eager, until time.Time) *shift {
	return &shift{
		idleSince: time.Now(), ended: make(chan task.Resolution),
		worker: &Worker{
			Config: Config{Capacity: 1}, Queue: q, Log: slog.New(slog.NewTextHandler(log, nil)),
			Room: func(context.Context) error {
				if time.Now().Before(until) {
					return errors.New("tasksDir has no room")
				}
				return nil
			},
		},
	}
}

// TestD7NothingIsClaimedWithoutRoom: while a disk is short, nothing is claimed,
// and the operator is told once; then claims go on by themselves.
func TestD7NothingIsClaimedWithoutRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lines
		q := &eager{}
		begin := time.Now()
		s := short(&log, q, begin.Add(5*time.Minute))
		drain, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan Stop)
		go func() {
			why, _ := s.claimLoop(t.Context(), drain)
			ended <- why
		}()
		time.Sleep(5*time.Minute - time.Nanosecond)
		synctest.Wait()
		if told := strings.Count(log.String(), "tasksDir has no room"); q.claims.Load() != 0 || told != 1 {
			t.Errorf("%d claims without room; the operator was told %d times", q.claims.Load(), told)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if q.claims.Load() == 0 || !strings.Contains(log.String(), "there is room on the disk again") {
			t.Errorf("%d claims when there was room again\n%s", q.claims.Load(), log.String())
		}
		stop()
		if why := <-ended; why != Drained {
			t.Errorf("stopped for reason %d", why)
		}
	})
}

// TestD7ShortForLong: a worker without a task gives up after a while, and does
// not wait for room when it is told to stop.
func TestD7ShortForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lines
		begin := time.Now()
		s := short(&log, &eager{}, begin.Add(time.Hour))
		why, err := s.claimLoop(t.Context(), t.Context())
		if why != Unfit || err == nil || err.Error() != "tasksDir has no room" {
			t.Errorf("stopped for reason %d, %v", why, err)
		}
		if took := time.Since(begin); took < shortLimit || took > shortLimit+30*time.Second {
			t.Errorf("stopped after %v", took)
		}
	})
}

// TestDrainEndsTheWaitForRoom: making room is no reason to stay.
func TestDrainEndsTheWaitForRoom(t *testing.T) {
	t.Parallel()
	drain, stop := context.WithCancel(t.Context())
	s := &shift{idleSince: time.Now(), ended: make(chan task.Resolution), worker: &Worker{
		Config: Config{Capacity: 1}, Log: slog.New(slog.DiscardHandler),
		Room: func(ctx context.Context) error {
			stop()
			<-ctx.Done()
			return context.Cause(ctx)
		},
	}}
	if why, err := s.claimLoop(t.Context(), drain); why != Drained || err != nil {
		t.Errorf("stopped for reason %d, %v", why, err)
	}
}
