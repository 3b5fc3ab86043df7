package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// release gives up one use of the file. The caller holds mu.
func (l *Log) release() error {
	l.users--
	if l.users > 0 {
		return nil
	}
	return l.file.Close()
}

// Follow returns a reader of the log from the given byte on. At the end of what
// is there it waits for more; io.EOF comes once the log is closed. A done
// context ends a waiting Read with the context's cause. Readers that began
// before Close need no file of that name any more: who deletes it takes
// nothing from them. The caller closes the reader.
func (l *Log) Follow(ctx context.Context, offset int64) (io.ReadCloser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path == "" {
		return nil, errors.New("cannot read the task's log: it could not be created")
	}
	if l.users == 0 {
		file, err := openLog(l.path, os.O_RDONLY)
		if err != nil {
			return nil, fmt.Errorf("cannot read the task's log: %w", err)
		}
		l.file = file
	}
	l.users++
	return &follower{log: l, ctx: ctx, file: l.file, offset: offset}, nil
}

type follower struct {
	log    *Log
	ctx    context.Context // bounds every Read, as io.Reader has no parameter for it
	file   *os.File
	offset int64
	closed bool
}

func (f *follower) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	size, rest, err := f.log.wait(f.ctx, f.offset)
	if err != nil {
		return 0, err
	}
	var n int
	if f.offset < size {
		n, err = f.file.ReadAt(p[:min(int64(len(p)), size-f.offset)], f.offset)
	} else {
		n = copy(p, rest[f.offset-size:])
	}
	f.offset += int64(n)
	switch {
	case n > 0:
		return n, nil // what went wrong after n bytes goes wrong again
	case err == io.EOF:
		return 0, fmt.Errorf("cannot read byte %d of the task's log: somebody cut the file: %w", f.offset, io.ErrUnexpectedEOF)
	}
	return 0, err
}

func (f *follower) Close() error {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	return f.log.release()
}

// wait returns what there is once there is something after offset: the file's
// size and what comes after it.
func (l *Log) wait(ctx context.Context, offset int64) (size int64, rest []byte, err error) {
	for {
		l.mu.Lock()
		size, rest = l.size, l.rest
		more, closed := size+int64(len(rest)) > offset, l.closed
		if !more && !closed && l.grown == nil {
			l.grown = make(chan struct{})
		}
		grown := l.grown
		l.mu.Unlock()
		switch {
		case more:
			return size, rest, nil
		case closed:
			return 0, nil, io.EOF
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return 0, nil, context.Cause(ctx)
		}
	}
}
