package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// progress gives a request up that moves no byte for too long.
type progress struct {
	timer *time.Timer
	limit time.Duration
}

// watch cancels the request when nothing moves, and wakes whoever waits for
// the task to send or to take something.
func (h *Handler) watch(w http.ResponseWriter, cancel context.CancelCauseFunc) *progress {
	connection := http.NewResponseController(w)
	return &progress{limit: h.options.Stall, timer: time.AfterFunc(h.options.Stall, func() {
		cancel(errStalled)
		// Not every writer has deadlines; those of a server do.
		_ = connection.SetReadDeadline(time.Now())
		_ = connection.SetWriteDeadline(time.Now().Add(time.Second))
	})}
}

func (p *progress) made() { p.timer.Reset(p.limit) }
func (p *progress) stop() { p.timer.Stop() }

var errBegun = errors.New("a part of the body was sent already")

// sentBody is the body of a request.
type sentBody struct {
	io.ReadCloser
	moving *progress
	begun  atomic.Bool // somebody has begun to read it
}

// replace puts it in the place of a request's body. Who has not begun to read
// it may have it once more.
func (b *sentBody) replace(r *http.Request) {
	if r.Body == nil {
		return
	}
	b.ReadCloser, r.Body = r.Body, b
	r.GetBody = func() (io.ReadCloser, error) {
		if b.begun.Load() {
			return nil, errBegun
		}
		return b, nil
	}
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.moving.made()
	}
	return n, err
}

// Close leaves a body open that nobody has read, for the next attempt. Whoever
// received it closes it in the end.
func (b *sentBody) Close() error {
	if !b.begun.Load() {
		return nil
	}
	return b.ReadCloser.Close()
}

// receivedBody is the body of an answer.
type receivedBody struct {
	io.ReadCloser
	moving *progress
}

func (b *receivedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.moving.made()
	}
	return n, err
}
