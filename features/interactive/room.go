package interactive

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/taskcluster/generic-worker/internal/task"
)

// mostShells is how many may be open in one run at the same time.
const mostShells = 16

var (
	errOver = errors.New("the task is over")
	errFull = fmt.Errorf("%d shells of this task are open; close one first", mostShells)
)

// room is where the shells of one run are.
type room struct {
	run *task.Run

	mu      sync.Mutex
	closed  bool
	next    int
	ends    map[int]context.CancelCauseFunc // of those that are open
	vacated chan struct{}                   // closed when the last was left; nil unless somebody waits for that
	shells  sync.WaitGroup                  // those whose processes may be alive
}

func newRoom(run *task.Run) *room {
	return &room{run: run, ends: map[int]context.CancelCauseFunc{}}
}

// enter counts a shell in, which end ends; leave follows.
func (r *room) enter(end context.CancelCauseFunc) (seat int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return 0, errOver
	case len(r.ends) >= mostShells:
		return 0, errFull
	}
	r.next++
	r.ends[r.next] = end
	r.shells.Add(1)
	return r.next, nil
}

// leave is called when nothing of a shell is alive; calling it again does
// nothing. exited tells that somebody ended the shell from within.
func (r *room) leave(seat int, exited bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ends[seat] == nil {
		return
	}
	delete(r.ends, seat)
	r.shells.Done()
	if exited && len(r.ends) == 0 && r.vacated != nil {
		close(r.vacated)
		r.vacated = nil
	}
}

// vacancy returns a channel that is closed when somebody exits the last shell
// that is open.
func (r *room) vacancy() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	vacated := make(chan struct{})
	r.vacated = vacated
	return vacated
}

// end ends all shells; none begins after it.
func (r *room) end(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, end := range r.ends {
		end(cause)
	}
}

// wait returns when nothing of any shell is alive, or when ctx is done.
func (r *room) wait(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		r.shells.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
