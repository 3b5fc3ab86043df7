package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/pgzip"
)

const (
	// memoryBound is how much of an encoded copy is held in memory; the rest is spooled to disk.
	memoryBound = 256 << 10
	// parallelFrom is the size from which several blocks of a file are compressed at once.
	parallelFrom = 1 << 20
	blockSize    = 256 << 10
	maxBlocks    = 2
	readSize     = 64 << 10
)

// encoder is what making one encoded copy needs, kept to be used again.
type encoder struct {
	gzip *gzip.Writer
	read []byte
}

// encoders bounds the memory and the processors that compression takes.
type encoders struct {
	small chan *encoder // as many as may work at once
	large chan *encoder // for large files, each on several processors
}

func newEncoders() *encoders {
	n := min(runtime.GOMAXPROCS(0), 4)
	e := &encoders{small: make(chan *encoder, n), large: make(chan *encoder, max(1, n/maxBlocks))}
	for range cap(e.small) {
		e.small <- &encoder{}
	}
	for range cap(e.large) {
		e.large <- &encoder{}
	}
	return e
}

// encode reads size bytes once, into a hash and a compressor.
func (p *Publisher) encode(ctx context.Context, r io.Reader, size int64) (*body, error) {
	out := &spool{dir: p.SpoolDir, buffer: p.takeBuffer()}
	release := func() { p.giveBuffer(out.release()) }
	sum, err := p.compress(ctx, out, &io.LimitedReader{R: r, N: size})
	if err == nil {
		err = out.finish()
	}
	if err != nil {
		release()
		return nil, err
	}
	b := &body{stored: out.size(), content: size, sum: sum, encoding: Gzip, release: release}
	b.open = func() (io.Reader, error) { return out.reader(), nil }
	return b, nil
}

// compress chooses how: several processors pay only for a large file.
func (p *Publisher) compress(ctx context.Context, out *spool, r *io.LimitedReader) (string, error) {
	e := p.state().encoders
	if r.N < parallelFrom {
		single, err := take(ctx, e.small)
		if err != nil {
			return "", err
		}
		defer func() { e.small <- single }()
		return single.copy(ctx, single.to(out), out, r)
	}
	large, err := take(ctx, e.large)
	if err != nil {
		return "", err
	}
	defer func() { e.large <- large }()
	w, err := pgzip.NewWriterLevel(out, gzip.BestSpeed)
	if err == nil {
		err = w.SetConcurrency(blockSize, maxBlocks)
	}
	if err != nil {
		return "", fmt.Errorf("cannot compress: %w", err)
	}
	return large.copy(ctx, w, out, r)
}

func take(ctx context.Context, from chan *encoder) (*encoder, error) {
	select {
	case e := <-from:
		return e, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// to returns a compressor that uses one processor.
func (e *encoder) to(w io.Writer) *gzip.Writer {
	if e.gzip == nil {
		e.gzip, _ = gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is a valid one
	} else {
		e.gzip.Reset(w)
	}
	return e.gzip
}

// copy compresses r into w, which writes to out, and returns the sha256 of what it read.
func (e *encoder) copy(ctx context.Context, w io.WriteCloser, out *spool, r io.Reader) (string, error) {
	if e.read == nil {
		e.read = make([]byte, readSize)
	}
	sum := sha256.New()
	both := io.MultiWriter(sum, w)
	var err error
	for err == nil && ctx.Err() == nil && !out.failed.Load() {
		var n int
		n, err = r.Read(e.read)
		if n > 0 {
			if _, werr := both.Write(e.read[:n]); werr != nil {
				err = fmt.Errorf("cannot compress: %w", werr)
			}
		}
	}
	// Closed in any case, since that ends the compressor's goroutines.
	cerr := w.Close()
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil && !errors.Is(err, io.EOF):
		return "", err
	case cerr != nil:
		return "", fmt.Errorf("cannot compress: %w", cerr)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// spool holds an encoded copy: in memory up to memoryBound, else on disk.
type spool struct {
	dir     string
	buffer  []byte // what is not in file yet
	file    *os.File
	spooled int64
	err     error
	failed  atomic.Bool // err is set
}

// Write keeps a copy of data. It hides an error until finish, since a
// compressor that is refused one block never ends its goroutines.
func (s *spool) Write(data []byte) (int, error) {
	if len(s.buffer) > 0 && len(s.buffer)+len(data) > memoryBound {
		s.flush()
	}
	if !s.failed.Load() {
		s.buffer = append(s.buffer, data...)
	}
	return len(data), nil
}

// flush moves what is in memory to the file.
func (s *spool) flush() {
	if s.failed.Load() {
		return
	}
	if s.file == nil {
		s.file, s.err = createSpool(s.dir)
	}
	if s.err == nil {
		var n int
		n, s.err = s.file.Write(s.buffer)
		s.spooled += int64(n)
	}
	s.buffer = s.buffer[:0]
	if s.err != nil {
		s.err = fmt.Errorf("%w: %w", ErrSpool, s.err)
		s.failed.Store(true)
	}
}

// finish is called when all was written, and returns what went wrong before.
func (s *spool) finish() error {
	if s.file != nil {
		s.flush()
	}
	return s.err
}

func (s *spool) size() int64 { return s.spooled + int64(len(s.buffer)) }

func (s *spool) reader() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.buffer)
	}
	return io.NewSectionReader(s.file, 0, s.spooled)
}

// release removes the copy and returns the memory it took.
func (s *spool) release() []byte {
	if s.file != nil {
		removeSpool(s.file)
	}
	return s.buffer[:0]
}
