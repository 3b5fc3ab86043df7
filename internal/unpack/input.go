package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// headSize is how much of an archive is remembered to tell its format.
const headSize = 512

// input is what is read of an archive. It counts, ends when its context does,
// and keeps what goes wrong with reading apart from what is wrong with the
// bytes, which decoders mix up.
type input struct {
	ctx   context.Context // io.Reader has no parameter for it
	r     io.Reader
	at    io.ReaderAt // the same, where the format needs it
	count atomic.Int64

	mu   sync.Mutex
	head []byte
	err  error
}

// Read implements io.Reader.
func (in *input) Read(p []byte) (int, error) {
	if in.ctx.Err() != nil {
		return 0, in.fail(context.Cause(in.ctx))
	}
	n, err := in.r.Read(p)
	before := in.count.Add(int64(n)) - int64(n)
	if before < headSize {
		in.mu.Lock()
		in.head = append(in.head, p[:min(n, headSize-len(in.head))]...)
		in.mu.Unlock()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, in.fail(err)
	}
	return n, err
}

// ReadAt implements io.ReaderAt. What is counted is how much was read, of
// anywhere.
func (in *input) ReadAt(p []byte, off int64) (int, error) {
	if in.ctx.Err() != nil {
		return 0, in.fail(context.Cause(in.ctx))
	}
	if off < 0 { // readers add up what an index says
		return 0, refuse("its index is damaged: it leads to before its beginning")
	}
	n, err := in.at.ReadAt(p, off)
	in.count.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		return n, in.fail(err)
	}
	return n, err
}

func (in *input) fail(err error) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err == nil {
		in.err = err
	}
	return err
}

// failed returns the first error of reading, which is not about the content.
func (in *input) failed() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}

// begins returns the first bytes of the archive, as far as they were read.
func (in *input) begins() []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.head
}

// ratioFrom is how much may come out of anything, however little went in.
const ratioFrom = 100 << 20

// meter says when more comes out of an archive than it may.
type meter struct {
	in     *input
	limits Limits
	stored bool // what comes out is put on a disk, so that Bytes counts
	out    int64
}

// add counts n bytes that are about to come out.
func (m *meter) add(n int64) error {
	if m.stored && n > m.limits.Bytes-m.out {
		return &Error{Err: fmt.Errorf("it unpacks to more than %d bytes, which is the limit", m.limits.Bytes)}
	}
	m.out += n
	if in := m.in.count.Load(); m.out > ratioFrom && m.out/m.limits.Ratio > in {
		return &Error{Err: fmt.Errorf("%d bytes of it unpack to more than %d, and the limit is %d for each", in, m.out, m.limits.Ratio)}
	}
	return nil
}

// shield runs code of others that reads bytes from anybody, and turns its
// panics into errors. Decoders of hostile input are not ours, and one that
// indexes beyond a slice must cost the task with that archive, not the worker
// with all its tasks. Only such code is called through it.
func shield(decode func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Error{Err: fmt.Errorf("the decoder broke off: %v", p)}
		}
	}()
	return decode()
}

// shielded is a decoder behind shield, whose errors are the archive's fault.
type shielded struct{ r io.Reader }

func (s shielded) Read(p []byte) (n int, err error) {
	err = shield(func() (err error) {
		n, err = s.r.Read(p)
		return err
	})
	if n < 0 || n > len(p) { // after a panic, whatever was there
		n = 0
	}
	return n, fault(err)
}

// metered is a decoder's output under a meter.
type metered struct {
	r io.Reader
	m *meter
}

func (c metered) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if over := c.m.add(int64(n)); over != nil {
		return 0, over
	}
	return n, err
}

// remember returns the place for the first bytes of an archive that is not
// read from its beginning.
func (in *input) remember() []byte {
	in.head = make([]byte, headSize)
	return in.head
}
