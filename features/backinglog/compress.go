package backinglog

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/taskcluster/generic-worker/internal/artifact"
)

// block is how much of the log is read at once: enough to keep two processors
// busy, little enough for many tasks.
const block = 256 << 10

// encoders compresses logs. Its memory, about 1 MiB per log, is used again for
// the next one.
type encoders struct{ idle sync.Pool }

type encoder struct {
	zip    *gzip.Writer
	out    *bufio.Writer
	buffer []byte
}

func newEncoders() *encoders {
	return &encoders{idle: sync.Pool{New: func() any {
		zip, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
		return &encoder{zip: zip, out: bufio.NewWriterSize(nil, 64<<10), buffer: make([]byte, block)}
	}}}
}

// readError says that the log could not be read to its end. What was
// compressed until then is whole in itself.
type readError struct{ err error }

func (e *readError) Error() string { return "the end is missing: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

func isCut(err error) bool {
	_, ok := errors.AsType[*readError](err)
	return ok
}

// compress writes src to dst as one gzip member and returns the length and
// hash of what it read. With a *readError both are right for the part that
// could be read.
func (e *encoders) compress(dst io.Writer, src io.Reader) (artifact.Encoded, error) {
	enc := e.idle.Get().(*encoder)
	defer e.idle.Put(enc)
	enc.out.Reset(dst)
	enc.zip.Reset(enc.out)
	// The hash is computed beside the compression of the same block.
	digest := sha256.New()
	blocks, hashed := make(chan []byte), make(chan struct{}, 1)
	defer close(blocks)
	go func() {
		for part := range blocks {
			digest.Write(part)
			hashed <- struct{}{}
		}
	}()
	var size int64
	for {
		n, err := src.Read(enc.buffer)
		part := enc.buffer[:n]
		blocks <- part
		_, failed := enc.zip.Write(part)
		<-hashed
		size += int64(n)
		switch {
		case failed != nil:
			return artifact.Encoded{}, fmt.Errorf("cannot compress the log: %w", failed)
		case err == nil:
			continue
		}
		if failed := errors.Join(enc.zip.Close(), enc.out.Flush()); failed != nil {
			return artifact.Encoded{}, fmt.Errorf("cannot compress the log: %w", failed)
		}
		encoded := artifact.Encoded{Bytes: size, SHA256: hex.EncodeToString(digest.Sum(nil))}
		if err != io.EOF {
			return encoded, &readError{err}
		}
		return encoded, nil
	}
}
