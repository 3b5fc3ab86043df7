package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

const (
	blockSize = 256 << 10
	blocks    = 4 // of a body, at most
)

// block is a part of the content, and how far the download was when it came.
type block struct {
	data        []byte
	done, total int64
	tries       int
}

// ahead receives, decodes and hashes while the last blocks are being used.
type ahead struct {
	stream  *stream
	content io.Reader // decoded
	hash    hash.Hash
	max     int64
	size    int64

	full chan block  // closed at the end
	free chan []byte // what may be filled

	// What follows is set when full is closed.

	err   error  // io.EOF if all has come
	sum   string // in that case
	tries int
}

func newAhead(s *stream, most int64) *ahead {
	a := &ahead{
		stream: s, content: s, hash: sha256.New(), max: most,
		full: make(chan block, blocks-2), free: make(chan []byte, blocks),
	}
	if s.encoding != "" {
		a.content = &gunzip{from: s}
	}
	for range blocks {
		a.free <- nil // made when needed: most content is small
	}
	return a
}

// run fills blocks until the end, or until the stream's context is done.
func (a *ahead) run() {
	defer close(a.full)
	defer func() {
		if cause := recover(); cause != nil {
			a.err = a.stream.fail(&failure{err: fmt.Errorf("internal error: %v", cause), broken: true})
		}
		a.stream.disconnect()
		a.tries = a.stream.tries
	}()
	for a.err == nil {
		a.err = a.fill()
	}
	if a.err == io.EOF {
		a.sum = hex.EncodeToString(a.hash.Sum(nil))
	}
}

// fill fills a block: until it is wanted, and to the brim if it is not.
func (a *ahead) fill() error {
	var buffer []byte
	select {
	case buffer = <-a.free:
	case <-a.stream.ctx.Done():
		return context.Cause(a.stream.ctx)
	}
	if buffer == nil {
		buffer = make([]byte, blockSize)
	}
	for n := 0; ; {
		read, err := a.read(buffer[n:])
		n += read
		b := block{buffer[:n], a.stream.offset, a.stream.total, a.stream.tries}
		if err != nil || n == len(buffer) {
			select {
			case a.full <- b:
				return err
			case <-a.stream.ctx.Done():
				return context.Cause(a.stream.ctx)
			}
		}
		if n == 0 {
			continue
		}
		select {
		case a.full <- b:
			return nil
		default:
		}
	}
}

func (a *ahead) read(p []byte) (int, error) {
	n, err := a.content.Read(p)
	if over := a.size + int64(n) - a.max; over > 0 {
		n -= int(over)
		err = a.stream.fail(permanent("it is longer than the limit of %d bytes", a.max))
	}
	_, _ = a.hash.Write(p[:n]) // never fails
	a.size += int64(n)
	return n, a.sorted(err)
}

// sorted makes of a reader's error what the body ends with.
func (a *ahead) sorted(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if a.stream.err != nil {
		err = a.stream.err // the decoder may have made another of it
	}
	ours, ok := errors.AsType[*Error](err)
	if !ok && a.stream.err == nil {
		// All has come, but it cannot be decoded.
		ours, ok = errors.AsType[*Error](a.stream.fail(&failure{err: err, broken: a.stream.total < 0}))
	}
	if !ok {
		return err
	}
	ours.Offset = a.size
	return ours
}
