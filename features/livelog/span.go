package livelog

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// lastPosition stands for the unknown end of a log that still grows: the
// largest number every reader can represent.
const lastPosition = 1<<53 - 1

// part is what a reader wants of a log.
type part struct {
	begin, end int64 // end is behind the last byte; not set if follow is
	follow     bool  // to the end of the log, whenever that is
	size       int64 // of the log now
	complete   bool  // size is final
}

func (p part) contentRange() string {
	size := "*"
	if p.complete {
		size = strconv.FormatInt(p.size, 10)
	}
	last := p.end - 1
	if p.follow {
		last = lastPosition
	}
	return fmt.Sprintf("bytes %d-%d/%s", p.begin, last, size)
}

// wanted returns which part of the log to answer with, and which status.
func wanted(r *http.Request, one *stream) (part, int) {
	complete := one.complete.Load() // before the size, which is final then
	whole := part{follow: true, size: one.log.Size(), complete: complete}
	header := r.Header.Get("Range")
	// There are no validators with which a part could be conditional.
	if header == "" || r.Header.Get("If-Range") != "" {
		return whole, http.StatusOK
	}
	first, last, ok := parseRange(header)
	if !ok {
		return whole, http.StatusOK
	}
	p := whole
	switch {
	case first < 0: // of the end
		p.begin, p.end, p.follow = max(0, p.size-last), p.size, false
	case last >= lastPosition && !complete:
		p.begin = first
		if first > p.size {
			return p, http.StatusRequestedRangeNotSatisfiable
		}
		return p, http.StatusPartialContent
	default:
		p.begin, p.end, p.follow = first, min(last, p.size-1)+1, false
	}
	if p.begin >= p.end {
		return p, http.StatusRequestedRangeNotSatisfiable
	}
	return p, http.StatusPartialContent
}

// parseRange reads a header with one range of bytes. Without a last position
// last is the largest there is; for the last n bytes first is -1 and last n.
// What is not understood, several ranges included, may be ignored.
func parseRange(header string) (first, last int64, ok bool) {
	unit, spec, found := strings.Cut(header, "=")
	if !found || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return 0, 0, false
	}
	from, to, found := strings.Cut(strings.TrimSpace(spec), "-")
	if !found {
		return 0, 0, false
	}
	first, last = -1, math.MaxInt64
	if from != "" {
		if first, ok = position(from); !ok {
			return 0, 0, false
		}
	}
	if to != "" {
		if last, ok = position(to); !ok {
			return 0, 0, false
		}
	}
	return first, last, (from != "" || to != "") && first <= last
}

// position reads a number of decimal digits only. One too large for the type
// is the largest.
func position(text string) (int64, bool) {
	if strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}
