package tree

import (
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	writeBuffer  = 1 << 20 // small writes are slow: most files are one
	writeBuffers = 8
	writerCount  = 2
)

// writers put content into files that exist already, several at a time, while
// the archive is read on. Names are no concern of theirs, so what comes later
// in the archive need not wait for them.
type writers struct {
	free    chan []byte
	work    chan write
	busy    sync.WaitGroup // files not yet closed
	running sync.WaitGroup

	mu  sync.Mutex
	err error
}

// write is a part of a file's content.
type write struct {
	to  *unfinished
	buf []byte
	n   int
	off int64
}

// unfinished is a file to which parts are still to be written.
type unfinished struct {
	f     *os.File
	mode  fs.FileMode
	time  time.Time
	parts atomic.Int32 // to be written, and one while there may be more
}

func startWriters() *writers {
	w := &writers{free: make(chan []byte, writeBuffers), work: make(chan write, writeBuffers)}
	for range writeBuffers {
		w.free <- nil // made when it is first needed
	}
	for range writerCount {
		w.running.Go(w.run)
	}
	return w
}

func (w *writers) run() {
	for part := range w.work {
		if w.failed() == nil {
			_, err := part.to.f.WriteAt(part.buf[:part.n], part.off)
			w.fail(err)
		}
		w.free <- part.buf
		w.release(part.to)
	}
}

// content reads r to its end into an open file, which is closed when all of it
// is written. It returns errors of reading, and earlier ones of writing.
func (w *writers) content(f *os.File, e Entry, r io.Reader) error {
	to := &unfinished{f: f, time: e.Time}
	to.mode, _ = e.permissions()
	to.parts.Store(1)
	w.busy.Add(1)
	defer w.release(to)
	for off := int64(0); r != nil; {
		buf := <-w.free
		if buf == nil {
			buf = make([]byte, writeBuffer)
		}
		n, err := fill(r, buf)
		if n == 0 {
			w.free <- buf
		} else {
			to.parts.Add(1)
			w.work <- write{to, buf, n, off}
			off += int64(n)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	return w.failed()
}

// release finishes a file after its last part.
func (w *writers) release(to *unfinished) {
	if to.parts.Add(-1) > 0 {
		return
	}
	err := to.f.Chmod(to.mode)
	if err == nil && settable(to.time) {
		err = setTime(to.f, to.time)
	}
	w.fail(err)
	w.fail(to.f.Close())
	w.busy.Done()
}

// settable tells whether file systems can be expected to keep a time.
func settable(t time.Time) bool {
	return !t.IsZero() && t.Year() >= 1902 && t.Year() < 2260
}

// wait waits until all files are closed.
func (w *writers) wait() error {
	w.busy.Wait()
	return w.failed()
}

// end waits for all files and ends the goroutines.
func (w *writers) end() error {
	close(w.work)
	w.running.Wait()
	return w.wait()
}

func (w *writers) fail(err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

func (w *writers) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
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
