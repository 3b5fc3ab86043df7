package task

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
)

// tailKept is how much of the newest output is kept in memory when the file
// takes no more.
const tailKept = 1 << 20

// longLine is the length from which on the rest of a line is worth keeping.
const longLine = 64 << 10

// hole is what a log has in its middle when the disk is full or the log has
// become too long: from a certain byte on, only the newest output is kept.
type hole struct {
	limit   int64 // for the whole log; 0 for none
	err     error // the write that the disk refused, if that is the reason
	skipped int64 // bytes that did not go to the file
	tail    []byte
}

// room is the number of bytes that the file may have before its end.
func (h *hole) room() int64 {
	if h.limit == 0 {
		return math.MaxInt64
	}
	return h.limit - int64(h.kept())
}

// kept is the largest length of the tail that is appended to the log.
func (h *hole) kept() int {
	if h.limit == 0 {
		return tailKept
	}
	return int(min(tailKept, h.limit/2))
}

// missing is the number of bytes that nobody will see.
func (h *hole) missing() int64 { return max(0, h.skipped-int64(h.kept())) }

// keep takes output that the file does not.
func (h *hole) keep(p []byte) {
	h.skipped += int64(len(p))
	kept := h.kept()
	h.tail = append(h.tail, p[max(0, len(p)-kept):]...)
	if len(h.tail) > 2*kept {
		h.tail = append(h.tail[:0], h.tail[len(h.tail)-kept:]...)
	}
}

// notice is the text at the limit of a log that becomes longer.
func (h *hole) notice() []byte {
	return fmt.Appendf(nil, "\n%s:warn %s] The log may have %d bytes, by logSizeLimitMegabytes in the worker's configuration, and is longer: what follows is its end\n",
		linePrefix, timestamp(), h.limit)
}

// note is the text that stands for the bytes that are missing.
func (h *hole) note(missing int64) string {
	if h.err == nil {
		return fmt.Sprintf("%s:warn %s] %d bytes of the log are missing here\n", linePrefix, timestamp(), missing)
	}
	reason := h.err
	if failed, ok := errors.AsType[*fs.PathError](reason); ok {
		reason = failed.Err
	}
	return fmt.Sprintf("\n%s:error] %d bytes of the log are missing here: %v\n", linePrefix, missing, reason)
}

// end returns what comes after the file: the newest output, from the beginning
// of a line on, behind a note if anything is missing.
func (h *hole) end() []byte {
	missing := h.missing()
	if missing == 0 {
		return h.tail
	}
	tail := h.tail[len(h.tail)-h.kept():]
	i := bytes.IndexByte(tail[:min(len(tail), longLine)], '\n')
	whole := i >= 0
	tail = tail[i+1:]
	missing += int64(i + 1)
	text := []byte(h.note(missing))
	// The rest of a line could look like a whole one of the worker.
	if bytes.HasPrefix(tail, []byte(linePrefix)) && !whole {
		text = append(text, quoteMark...)
	}
	return append(text, tail...)
}
