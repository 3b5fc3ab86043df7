package source

import (
	"context"
	"errors"
	"sync"

	"github.com/taskcluster/generic-worker/cot/chain"
)

// memo remembers answers, so that whoever asks twice gets the same one. Of those
// who ask for the same at once, one asks for all. Only good answers, and that
// there is no such thing, are remembered.
type memo[T any] struct {
	mu      sync.Mutex
	entries map[string]*remembered[T]
}

type remembered[T any] struct {
	turn  chan struct{} // holds one token: who has it may look and ask
	known bool
	value T
	err   error
}

// get returns what ask said for the key the first time.
func (m *memo[T]) get(ctx context.Context, key string, ask func(context.Context) (T, error)) (T, error) {
	m.mu.Lock()
	if m.entries == nil {
		m.entries = map[string]*remembered[T]{}
	}
	entry := m.entries[key]
	if entry == nil {
		entry = &remembered[T]{turn: make(chan struct{}, 1)}
		m.entries[key] = entry
		entry.turn <- struct{}{}
	}
	m.mu.Unlock()
	select {
	case <-entry.turn:
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
	defer func() { entry.turn <- struct{}{} }()
	if entry.known {
		return entry.value, entry.err
	}
	value, err := ask(ctx)
	if err == nil || errors.Is(err, chain.ErrNotFound) {
		entry.known, entry.value, entry.err = true, value, err
	}
	return value, err
}
