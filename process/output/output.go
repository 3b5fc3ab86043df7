// Package output takes what a command and its descendants print, while they
// live, and no longer.
package output

import (
	"errors"
	"fmt"
	"io"
	"os"
)

const bufferSize = 256 << 10

// Output hands what arrives in a pipe to a writer.
type Output struct {
	pipe    *os.File
	to      io.Writer
	done    chan struct{} // closed after the last write
	failure error         // set before done if to panicked
}

// Open returns the reader and the end of its pipe that the command gets; a nil
// writer discards what it reads.
func Open(to io.Writer) (*Output, *os.File, error) {
	if to == nil {
		to = io.Discard
	}
	r, w, err := openPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a pipe for its output: %w", err)
	}
	return &Output{pipe: r, to: to, done: make(chan struct{})}, w, nil
}

// Abandon is for an output whose command did not start.
func (o *Output) Abandon() { _ = o.pipe.Close() }

// Pump reads until every writer has closed the pipe, or Drain was called.
func (o *Output) Pump() {
	defer close(o.done)
	buf := make([]byte, bufferSize)
	for {
		n, err := o.pipe.Read(buf)
		o.write(buf[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			o.rest(buf)
			return
		}
		if err != nil {
			return
		}
	}
}

// write contains a panic of the writer: the command still needs its output
// read, and the worker has other commands.
func (o *Output) write(p []byte) {
	if len(p) == 0 {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			o.failure = fmt.Errorf("its writer panicked: %v", v)
			o.to = io.Discard
		}
	}()
	_, _ = o.to.Write(p) // the writer keeps its own errors
}

// Failure is why the writer was given up, if it panicked; to be called after Drain.
func (o *Output) Failure() error { return o.failure }
