package process

import (
	"errors"
	"fmt"
	"io"
	"os"
)

const outputBuffer = 256 << 10

// output hands what arrives in a pipe to a writer.
type output struct {
	pipe    *os.File
	to      io.Writer
	done    chan struct{} // closed after the last write
	failure error         // set before done if to panicked
}

// openOutput returns the reader and the end of its pipe that the command gets.
func openOutput(to io.Writer) (*output, *os.File, error) {
	if to == nil {
		to = io.Discard
	}
	r, w, err := openPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a pipe for its output: %w", err)
	}
	return &output{pipe: r, to: to, done: make(chan struct{})}, w, nil
}

// abandon is for an output whose command did not start.
func (o *output) abandon() { _ = o.pipe.Close() }

// pump reads until every writer has closed the pipe, or drain was called.
func (o *output) pump() {
	defer close(o.done)
	buf := make([]byte, outputBuffer)
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
func (o *output) write(p []byte) {
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
