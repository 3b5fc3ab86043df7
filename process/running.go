package process

import (
	"context"
	"fmt"
	"sync"

	"github.com/taskcluster/generic-worker/process/usage"
)

// Running is a command from its start on. Its method may be called concurrently.
type Running struct {
	mu   sync.Mutex
	tree *tree        // nil when the command has ended
	last usage.Sample // then
	done chan struct{}
	end  context.CancelFunc
}

// Usage is what the command uses now, or used in all once the context of Beside
// is done.
func (r *Running) Usage() usage.Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tree == nil {
		return r.last
	}
	return r.tree.sample()
}

// beside starts Beside, if there is one.
func (c *Command) beside(ctx context.Context, t *tree, abort func(error)) *Running {
	if c.Beside == nil {
		return nil
	}
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	r := &Running{tree: t, done: make(chan struct{}), end: end}
	go func() {
		defer close(r.done)
		defer func() {
			if v := recover(); v != nil {
				abort(fmt.Errorf("process: internal error beside the command: %v", v))
			}
		}()
		if err := c.Beside(ctx, r); err != nil {
			abort(err)
		}
	}()
	return r
}

// freeze takes the last figures there are before the tree is let go.
func (r *Running) freeze() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = r.tree.total()
	r.tree = nil
}

// finish adds what the result knows, and waits for Beside to return.
func (r *Running) finish(res Result) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.last.Wall = res.Wall
	r.last.User, r.last.System = max(r.last.User, res.User), max(r.last.System, res.System)
	r.last.PeakMemory = max(r.last.PeakMemory, res.PeakMemory)
	r.mu.Unlock()
	r.end()
	<-r.done
}

// guard ends a command that has hit one of its limits.
func (t *tree) guard(limits usage.Limits, abort func(error)) (verdict func() *usage.Exceeded) {
	g := &usage.Guard{Limits: limits, First: usage.Process{PID: t.pid, Name: t.name}}
	t.arm(g)
	return g.Start(t.sample, abort)
}
