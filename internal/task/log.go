package task

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/mask"
)

// Log is what the task's author reads. Output of commands goes in as it is,
// but for secrets and for lines that pass for the worker's; those of the worker
// carry a prefix and a time. Any number of readers can follow the file; none of
// them can slow a writer. Methods may be called concurrently.
type Log struct {
	path string

	mu      sync.Mutex
	file    *os.File
	users   int           // of file: the writer until Close, and every reader; at 0 the file is closed
	size    int64         // of the file
	grown   chan struct{} // closed when size or closed changes; nil while nobody waits
	closed  bool
	hole    hole
	rest    []byte // once closed: the end of the log, for which the disk had no room
	secrets mask.Secrets
	masker  *mask.Writer // of the task's output, to quoter
	quoter  *quoter      // to the file
}

// CreateLog makes the log file, readable by its owner only.
func CreateLog(path string) (*Log, error) {
	file, err := openLog(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("cannot create the task's log: %w", err)
	}
	l := &Log{path: path, file: file, users: 1}
	l.quoter = &quoter{to: l.write}
	l.masker = mask.NewWriter(&l.secrets, l.quoter)
	return l, nil
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

// Mask replaces secrets by mask.Mark in whatever is written from now on, by the
// task or the worker. It returns those that cannot be masked: shorter than
// mask.MinLength, or too many.
func (l *Log) Mask(secrets ...string) (unmasked []string) { return l.secrets.Add(secrets...) }

// Write appends output of the task: masked, and with a mark before each line
// that looks like the worker's. A full disk is no error for the writer, nor is
// a log that becomes too long: the newest output is kept in memory and ends the
// log, after a note of what was lost. After Close the error is os.ErrClosed.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, os.ErrClosed
	}
	return l.masker.Write(p)
}

// Info writes lines of the worker, each with the prefix of information.
func (l *Log) Info(format string, args ...any) {
	l.lines(linePrefix+" "+timestamp()+"] ", fmt.Sprintf(format, args...))
}

// Warn writes lines of the worker, each with the prefix of warnings.
func (l *Log) Warn(format string, args ...any) {
	l.lines(linePrefix+":warn "+timestamp()+"] ", fmt.Sprintf(format, args...))
}

// Error writes lines of the worker, each with the prefix of errors.
func (l *Log) Error(format string, args ...any) {
	l.lines(linePrefix+":error] ", fmt.Sprintf(format, args...))
}

func timestamp() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

// lines writes a message of the worker, which may quote what is not its own.
func (l *Log) lines(prefix, message string) {
	var text bytes.Buffer
	for line := range strings.SplitSeq(strings.TrimRight(l.secrets.Mask(message), "\n"), "\n") {
		text.WriteString(prefix)
		text.WriteString(strings.ReplaceAll(line, "\r"+linePrefix, "\r"+quoteMark+linePrefix))
		text.WriteByte('\n')
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return // nobody waits for a worker's line, so one after Close is not missed
	}
	l.cut()
	l.write(text.Bytes())
	l.quoter.line = lineBegun
}

// cut writes what was withheld of the task's output, because it might have
// become a secret or a line like the worker's.
func (l *Log) cut() {
	_ = l.masker.Cut() // the quoter takes everything
	l.quoter.cut()
}

// write appends to the file, or to what is kept for the end.
func (l *Log) write(text []byte) {
	if l.hole.skipped == 0 {
		n := min(int64(len(text)), l.hole.room()-l.size)
		text = text[l.append(text[:n]):]
	}
	if len(text) == 0 {
		return
	}
	whole := l.hole.missing() == 0
	l.hole.keep(text)
	if whole && l.hole.missing() > 0 && l.hole.err == nil {
		l.append(l.hole.notice()) // readers wait for the rest until the end
	}
}

// append writes to the file and returns how much it took.
func (l *Log) append(text []byte) int {
	n, err := l.file.WriteAt(text, l.size)
	l.size += int64(n)
	if err != nil && l.hole.err == nil {
		l.hole.err = err
	}
	l.wake()
	return n
}

func (l *Log) wake() {
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// Err returns the first write that the disk refused if bytes are missing for
// it, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hole.missing() == 0 {
		return nil
	}
	return l.hole.err
}

// Size is the number of bytes readers can see.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size + int64(len(l.rest))
}

// Close ends the log: readers get what is there and then the end. What did not
// go into the file is appended now, and stays in memory for the readers if the
// disk has no room for it. Closing twice is allowed.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.cut()
	if l.hole.skipped > 0 {
		// The room for it may come from the task's own files, which are gone by now.
		end := l.hole.end()
		l.rest = end[l.append(end):]
		l.hole.tail = nil
	}
	l.closed = true
	l.wake()
	return l.release()
}
