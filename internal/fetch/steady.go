package fetch

import (
	"context"
	"fmt"
	"io"
	"time"
)

// dripBytes are what must arrive within Limits.Drip.
const dripBytes = 64 << 10

// steady ends a body that stops coming, or comes by the drop. Only time spent in
// Read counts: who reads slowly is not the server's fault.
type steady struct {
	ctx    context.Context // of the request, because io.Reader takes none: its cause tells why reading failed
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	limits Limits
	watch  *time.Timer

	waited time.Duration // for the last got bytes
	got    int
}

func newSteady(ctx context.Context, cancel context.CancelCauseFunc, body io.ReadCloser, limits Limits) *steady {
	stuck := fmt.Errorf("no byte within %s", limits.Stall)
	watch := time.AfterFunc(limits.Stall, func() { cancel(stuck) })
	watch.Stop()
	return &steady{ctx: ctx, cancel: cancel, body: body, limits: limits, watch: watch}
}

func (b *steady) Read(p []byte) (int, error) {
	began := time.Now()
	b.watch.Reset(b.limits.Stall)
	n, err := b.body.Read(p)
	b.watch.Stop()
	if err != nil {
		if err != io.EOF {
			err = reasonOf(b.ctx, err)
		}
		return n, err
	}
	b.got += n
	b.waited += time.Since(began)
	switch {
	case b.got >= dripBytes:
		b.got, b.waited = 0, 0
	case b.waited >= b.limits.Drip:
		return n, fmt.Errorf("less than %d bytes within %s", dripBytes, b.limits.Drip)
	}
	return n, nil
}

func (b *steady) Close() error {
	b.watch.Stop()
	b.cancel(nil) // first, so that closing does not wait for what is on its way
	return b.body.Close()
}
