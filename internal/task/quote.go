package task

import "bytes"

const (
	// linePrefix begins the worker's lines, with a space or a colon after it.
	linePrefix = "[taskcluster"
	// quoteMark goes before a line of the task that begins like the worker's.
	quoteMark = "> "
)

// quoter marks lines of the task's output that begin like the worker's, so that
// nobody takes them for the worker's. Lines that begin with marks already get
// one more: taking one mark from each line that has marks and the prefix gives
// the output back. A line also begins after a carriage return.
type quoter struct {
	to   func([]byte)
	line lineState
	held []byte // the beginning of the prefix, at the end of what was written
	out  []byte
}

// lineState is where in a line the output is.
type lineState int

const (
	lineBegun lineState = iota // nothing but marks so far
	lineHalf                   // after that, the first byte of a mark
	lineInner
)

// Write passes on p, and marks. It is not safe for concurrent use.
func (q *quoter) Write(p []byte) (int, error) {
	length := len(p)
	if len(q.held) > 0 {
		p = append(q.held, p...)
		q.held = nil
	}
	out := q.out[:0]
	done, from := 0, 0
	for {
		i := bytes.Index(p[from:], []byte(linePrefix))
		if i < 0 {
			break
		}
		begin, after := from+i, from+i+len(linePrefix)
		if after < len(p) && (p[after] == ' ' || p[after] == ':') && q.begins(p[:begin]) {
			out = append(out, p[done:begin]...)
			out = append(out, quoteMark...)
			done = begin
		}
		from = after
	}
	end := q.undecided(p)
	if len(out) > 0 {
		out = append(out, p[done:end]...)
		q.to(out)
	} else if end > 0 {
		q.to(p[:end])
	}
	q.line = q.after(p[:end])
	q.held = append(q.held, p[end:]...)
	q.out = out
	return length, nil
}

// cut passes on what is held: what follows does not continue it.
func (q *quoter) cut() {
	if len(q.held) > 0 {
		q.to(q.held)
		q.line = lineInner
		q.held = nil
	}
}

// begins tells whether a line has nothing but marks between its beginning and
// the end of text, which follows what was written before.
func (q *quoter) begins(text []byte) bool {
	for bytes.HasSuffix(text, []byte(quoteMark)) {
		text = text[:len(text)-len(quoteMark)]
	}
	switch {
	case len(text) == 0:
		return q.line == lineBegun
	case len(text) == 1 && text[0] == quoteMark[1]:
		return q.line == lineHalf
	}
	last := text[len(text)-1]
	return last == '\n' || last == '\r'
}

// after returns where in a line the end of text is.
func (q *quoter) after(text []byte) lineState {
	switch {
	case len(text) == 0:
		return q.line
	case q.begins(text):
		return lineBegun
	case text[len(text)-1] == quoteMark[0] && q.begins(text[:len(text)-1]):
		return lineHalf
	}
	return lineInner
}

// undecided returns where the prefix of the worker's lines may begin at the end
// of text, or len(text).
func (q *quoter) undecided(text []byte) int {
	tail := max(0, len(text)-len(linePrefix))
	i := bytes.LastIndexByte(text[tail:], linePrefix[0])
	if i < 0 || !bytes.HasPrefix([]byte(linePrefix), text[tail+i:]) || !q.begins(text[:tail+i]) {
		return len(text)
	}
	return tail + i
}
