package fetch

import (
	"context"
	"errors"
	"io"
	"time"
)

const progressEvery = 5 * time.Second

// Body is content that is being downloaded: up to 1 MiB of it is received,
// decoded and hashed before it is asked for. It is for one goroutine.
type Body struct {
	ahead    *ahead
	stop     context.CancelCauseFunc
	progress func(done, total int64)
	told     time.Time

	block block  // the current one
	rest  []byte // of it, not read yet
	size  int64
	err   error // what Read ended with
}

var errClosed = errors.New("cannot read the download: it is closed")

// Read reads decoded content. It returns io.EOF when all of it has arrived, and
// what stopped the download otherwise.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(b.rest) == 0 && b.err == nil {
		b.next()
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	b.size += int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, b.err
}

// next takes the next block, or the end.
func (b *Body) next() {
	if b.block.data != nil {
		b.ahead.free <- b.block.data[:cap(b.block.data)] // has room for all blocks
		b.block.data = nil
	}
	next, ok := <-b.ahead.full
	if ok {
		b.block, b.rest = next, next.data
	} else {
		b.err, b.block.tries = b.ahead.err, b.ahead.tries
		b.stop(nil)
	}
	if b.progress != nil && (b.err == io.EOF || time.Since(b.told) >= progressEvery) {
		b.told = time.Now()
		b.progress(b.block.done, b.block.total)
	}
}

// Close ends the download; it may be called again.
func (b *Body) Close() error {
	b.stop(errClosed)
	for range b.ahead.full { // until it has ended
	}
	b.rest = nil
	if b.err == nil {
		b.err = errClosed
	}
	return nil
}

// Size is how many bytes were read: all, once Read has returned io.EOF.
func (b *Body) Size() int64 { return b.size }

// SHA256 is the hash of the content in lower-case hexadecimal; empty before
// Read has returned io.EOF.
func (b *Body) SHA256() string {
	if b.err != io.EOF {
		return ""
	}
	return b.ahead.sum
}

// Attempts is how many requests were made for what was read, not counting
// redirects.
func (b *Body) Attempts() int { return b.block.tries }
