package unpack

import "io"

const (
	aheadChunk = 256 << 10
	aheadMost  = 8 // chunks
)

// ahead reads in a goroutine of its own, a bounded way ahead of its reader, so
// that a decoder works while files are written.
type ahead struct {
	full chan chunk
	free chan []byte
	stop chan struct{}
	rest []byte // of whole
	last chunk
}

type chunk struct {
	bytes []byte
	err   error
}

func readAhead(r io.Reader) *ahead {
	a := &ahead{
		full: make(chan chunk, aheadMost),
		free: make(chan []byte, aheadMost),
		stop: make(chan struct{}),
	}
	for range aheadMost {
		a.free <- nil // made when it is first needed
	}
	go a.run(r)
	return a
}

func (a *ahead) run(r io.Reader) {
	defer close(a.full)
	for {
		var buf []byte
		select {
		case buf = <-a.free:
		case <-a.stop:
			return
		}
		if buf == nil {
			buf = make([]byte, aheadChunk)
		}
		n, err := fill(r, buf)
		a.full <- chunk{buf[:n], err} // has room for all there are
		if err != nil {
			return
		}
	}
}

// fill reads until buf is full or there is an error, which may be io.EOF.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var more int
		more, err = r.Read(buf[n:])
		n += more
	}
	return n, err
}

// Read implements io.Reader.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.last.err != nil {
			return 0, a.last.err
		}
		if a.last.bytes != nil {
			a.free <- a.last.bytes[:cap(a.last.bytes)]
		}
		a.last = <-a.full
		a.rest = a.last.bytes
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// close waits until nothing is read any more. It may be called once.
func (a *ahead) close() {
	close(a.stop)
	for range a.full {
	}
}
