// Package step has what steps of a verification are made of: results that are
// none until their step is over, and work that goes on side by side and whose
// panics become errors.
package step

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ErrNotReached is the error of what no step has found out.
var ErrNotReached = errors.New("verification did not get this far")

// Outcome is what a step found out, which is nothing before the step is over.
type Outcome[T any] struct {
	value T
	err   error
	done  bool
}

// Set notes what a step found out.
func (o *Outcome[T]) Set(value T, err error) { o.value, o.err, o.done = value, err, true }

// Get returns what was found out; before Set the error is ErrNotReached.
func (o *Outcome[T]) Get() (T, error) {
	if !o.done {
		return o.value, ErrNotReached
	}
	return o.value, o.err
}

// Err returns the error of Get.
func (o *Outcome[T]) Err() error {
	_, err := o.Get()
	return err
}

// Value returns the value of Get, which is the zero value if there is none.
func (o *Outcome[T]) Value() T { return o.value }

// Work is what is done with each of many items.
type Work[T any] struct {
	Limit int // items in work at a time
	Do    func(context.Context, T)
	Fault func(T, error) // called after Do has panicked
}

// Each does the work with all items and returns when it is over. Once the
// context is done, no more is begun.
func (w Work[T]) Each(ctx context.Context, items []T) {
	next := make(chan T)
	var workers sync.WaitGroup
	for range min(w.Limit, len(items)) {
		workers.Go(func() {
			for item := range next {
				w.one(ctx, item)
			}
		})
	}
	for _, item := range items {
		if ctx.Err() != nil {
			break
		}
		next <- item
	}
	close(next)
	workers.Wait()
}

func (w Work[T]) one(ctx context.Context, item T) {
	var err error
	defer func() {
		if err != nil {
			w.Fault(item, err)
		}
	}()
	defer Recover(&err)
	w.Do(ctx, item)
}

// Recover, when deferred, turns a panic into an error.
func Recover(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("internal error: %v", r)
	}
}
