package fetch

import (
	"context"
	"sync"
)

// hosts counts what is open at each host. The zero value is ready for use.
type hosts struct {
	mu    sync.Mutex
	doors map[string]*door
}

// door lets a bounded number in at one host.
type door struct {
	inside chan struct{} // has one element for each that is in
	known  int           // how many are in or wait, guarded by hosts.mu
}

// enter waits until fewer than limit are in at a host. The returned function
// leaves, and may be called again.
func (h *hosts) enter(ctx context.Context, host string, limit int) (leave func(), err error) {
	h.mu.Lock()
	d := h.doors[host]
	if d == nil {
		d = &door{inside: make(chan struct{}, limit)}
		if h.doors == nil {
			h.doors = make(map[string]*door)
		}
		h.doors[host] = d
	}
	d.known++
	h.mu.Unlock()
	forget := func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if d.known--; d.known == 0 {
			delete(h.doors, host)
		}
	}
	select {
	case d.inside <- struct{}{}:
		return sync.OnceFunc(func() { <-d.inside; forget() }), nil
	case <-ctx.Done():
		forget()
		return nil, context.Cause(ctx)
	}
}
