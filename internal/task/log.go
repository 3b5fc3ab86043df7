package task

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// tailKept is how much of the newest output is kept in memory while the disk
// takes no more.
const tailKept = 256 << 10

// Log is what the task's author reads. Output of commands goes in as it is;
// lines of the worker carry a prefix and a time. Any number of readers can
// follow the file; none of them can slow a writer. Methods may be called
// concurrently.
type Log struct {
	path string

	mu      sync.Mutex
	file    *os.File
	users   int           // of file: the writer until Close, and every reader; at 0 the file is closed
	size    int64         // of the file
	grown   chan struct{} // closed when size or closed changes; nil while nobody waits
	closed  bool
	err     error // the first failed write
	dropped int64
	tail    []byte
	rest    []byte // once closed: the end of the log, for which the disk had no room
}

// CreateLog makes the log file, readable by its owner only.
func CreateLog(path string) (*Log, error) {
	file, err := openLog(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("cannot create the task's log: %w", err)
	}
	return &Log{path: path, file: file, users: 1}, nil
}

// openLog opens the file so that its directory can be deleted on Windows, too,
// while somebody still reads it: only files opened below an os.Root allow that.
func openLog(path string, flag int) (*os.File, error) {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.OpenFile(filepath.Base(path), flag, 0o600)
}

// Write appends raw output. A full disk is no error for the writer: the newest
// output is kept in memory and ends the log, after a note of what was lost.
// After Close the error is os.ErrClosed.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, os.ErrClosed
	}
	l.write(p)
	return len(p), nil
}

func (l *Log) write(p []byte) {
	if l.err != nil {
		l.keep(p)
		return
	}
	n, err := l.file.WriteAt(p, l.size)
	l.size += int64(n)
	if err != nil {
		l.err = err
		l.keep(p[n:])
	}
	l.wake()
}

func (l *Log) keep(p []byte) {
	l.dropped += int64(len(p))
	l.tail = append(l.tail, p[max(0, len(p)-tailKept):]...)
	if len(l.tail) > 2*tailKept {
		l.tail = append(l.tail[:0], l.tail[len(l.tail)-tailKept:]...)
	}
}

func (l *Log) wake() {
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// Info writes lines of the worker, each with the prefix of information.
func (l *Log) Info(format string, args ...any) {
	l.lines("[taskcluster "+timestamp()+"] ", fmt.Sprintf(format, args...))
}

// Warn writes lines of the worker, each with the prefix of warnings.
func (l *Log) Warn(format string, args ...any) {
	l.lines("[taskcluster:warn "+timestamp()+"] ", fmt.Sprintf(format, args...))
}

// Error writes lines of the worker, each with the prefix of errors.
func (l *Log) Error(format string, args ...any) {
	l.lines("[taskcluster:error] ", fmt.Sprintf(format, args...))
}

func (l *Log) lines(prefix, message string) {
	var text bytes.Buffer
	for line := range strings.SplitSeq(strings.TrimRight(message, "\n"), "\n") {
		text.WriteString(prefix)
		text.WriteString(line)
		text.WriteByte('\n')
	}
	// Nobody waits for a worker's line, so one after Close is not missed.
	_, _ = l.Write(text.Bytes())
}

func timestamp() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

// Err returns the first write that the disk refused, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Size is the number of bytes readers can see.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size + int64(len(l.rest))
}

// Close ends the log: readers get what is there and then the end. What a full
// disk kept out is written now if there is room again, and stays in memory for
// the readers if not. Closing twice is allowed.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.rescue()
	l.closed = true
	l.wake()
	return l.release()
}

// rescue appends the newest of the dropped output. The room for it may come
// from the task's own files, which are gone by now or not: both are fine.
func (l *Log) rescue() {
	if l.dropped == 0 {
		return
	}
	reason := l.err
	if failed, ok := errors.AsType[*fs.PathError](reason); ok {
		reason = failed.Err
	}
	tail := l.tail[max(0, len(l.tail)-tailKept):]
	end := fmt.Appendf(nil, "\n[taskcluster:error] %d bytes of the log are missing here: %v\n", l.dropped-int64(len(tail)), reason)
	end = append(end, tail...)
	l.tail = nil
	n, err := l.file.WriteAt(end, l.size)
	l.size += int64(n)
	if err != nil {
		l.rest = end[n:]
	}
}

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
