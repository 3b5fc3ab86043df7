package fetch

import (
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/internal/backoff"
)

// accept looks at an answer and takes its body to where the last one ended.
// asked tells that only the rest was asked for.
func (s *stream) accept(got *answer, asked bool) error {
	switch {
	case got.StatusCode == http.StatusOK:
		return s.acceptWhole(got)
	case got.StatusCode == http.StatusPartialContent && asked:
		return s.acceptRest(got)
	case got.StatusCode == http.StatusRequestedRangeNotSatisfiable && asked:
		return s.distrust("the server has no rest of it from byte %d", s.offset)
	}
	return refusal(got)
}

// distrust makes the following attempts ask for everything.
func (s *stream) distrust(format string, args ...any) error {
	s.mark = ""
	return passing(format, args...)
}

func (s *stream) acceptWhole(got *answer) error {
	encoding, err := encodingOf(got.Header)
	if err != nil {
		return err
	}
	s.left = got.ContentLength
	if !s.known {
		if encoding == "" && got.ContentLength > s.want.MaxBytes || got.ContentLength > s.most() {
			return permanent("it has %d bytes, more than the limit of %d", got.ContentLength, s.want.MaxBytes)
		}
		s.known, s.encoding, s.total, s.mark = true, encoding, got.ContentLength, validator(got.Header)
		return nil
	}
	if encoding != s.encoding || s.total >= 0 && s.left >= 0 && s.left != s.total {
		return changed()
	}
	if s.total < 0 {
		s.total = s.left
	}
	if s.mark != "" {
		s.mark = validator(got.Header)
	}
	return s.skip()
}

// skip reads again what was read before, which must be the same.
func (s *stream) skip() error {
	var again maphash.Hash
	again.SetSeed(s.seen.Seed())
	n, err := io.CopyN(&again, s.body, s.offset)
	if s.left >= 0 {
		s.left -= n
	}
	switch {
	case err == io.EOF && s.left <= 0:
		return changed() // it has become shorter
	case err != nil:
		return broken(err)
	case again.Sum64() != s.seen.Sum64():
		return changed()
	}
	return nil
}

func changed() *failure { return &failure{err: ErrChanged, broken: true} }

// acceptRest checks that the answer is the rest of what was read, of the same
// content: what it is marked by has been compared by the server, and is by us.
func (s *stream) acceptRest(got *answer) error {
	first, last, total, ok := contentRange(got.Header.Get("Content-Range"))
	switch encoding, err := encodingOf(got.Header); {
	case !ok || first != s.offset || total < 0 || s.total >= 0 && total != s.total:
		return s.distrust("the server sends another part than it was asked for")
	case got.ContentLength >= 0 && got.ContentLength != last-first+1:
		return s.distrust("the server sends a part of another length than it says")
	case got.Header.Get("Content-Encoding") != "" && (err != nil || encoding != s.encoding):
		return s.distrust("the server sends a part in another encoding")
	}
	if tag := got.Header.Get("ETag"); tag != "" && strings.HasPrefix(s.mark, `"`) && tag != s.mark {
		return s.distrust("the server sends a part of something else")
	}
	s.left, s.total = last-first+1, total
	return nil
}

// contentRange reads "bytes 5-9/10"; total is -1 for "bytes 5-9/*".
func contentRange(value string) (first, last, total int64, ok bool) {
	span, found := strings.CutPrefix(value, "bytes ")
	if !found {
		return 0, 0, 0, false
	}
	span, size, _ := strings.Cut(span, "/")
	from, to, _ := strings.Cut(span, "-")
	first, ok1 := decimal(from)
	last, ok2 := decimal(to)
	total, ok3 := decimal(size)
	if size == "*" {
		total, ok3 = -1, true
	}
	return first, last, total, ok1 && ok2 && ok3 && first <= last && (total < 0 || last < total)
}

func decimal(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 62)
	return int64(n), err == nil
}

// validator returns what tells this content from any other, byte for byte; ""
// if the answer has nothing of the kind.
func validator(h http.Header) string {
	if strings.EqualFold(h.Get("Accept-Ranges"), "none") {
		return ""
	}
	tag := h.Get("ETag")
	if len(tag) > 2 && tag[0] == '"' && tag[len(tag)-1] == '"' {
		return tag
	}
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return ""
	}
	// One that changed in the last minute may have changed again in the same
	// second: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.2
	if now, err := http.ParseTime(h.Get("Date")); err != nil || now.Sub(modified) < time.Minute {
		return ""
	}
	return h.Get("Last-Modified")
}

// encodingOf returns "gzip" for what has to be decoded and "" for what has not.
// Some servers mark files that are named .gz as x-gzip: those are wanted as
// they are, as Go's own client gives them.
func encodingOf(h http.Header) (string, error) {
	switch encoding := strings.ToLower(strings.Join(h.Values("Content-Encoding"), ", ")); encoding {
	case "", "identity", "x-gzip":
		return "", nil
	case "gzip":
		return encoding, nil
	default:
		return "", permanent("it is sent with encoding %.40q; only gzip and none are understood", encoding)
	}
}

// refusal tells what an answer without content means.
func refusal(got *answer) error {
	f := &failure{status: got.StatusCode, err: fmt.Errorf("the server answers with status %d %s", got.StatusCode, http.StatusText(got.StatusCode))}
	switch code := got.StatusCode; {
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout,
		code == http.StatusTooEarly, code == http.StatusAccepted:
		f.passing, f.after = true, backoff.RetryAfter(got.Header, time.Now())
	case code == http.StatusForbidden, code == http.StatusUnauthorized, code == http.StatusBadRequest:
		f.expired = true
	}
	return f
}
