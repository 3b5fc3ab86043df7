package fetch

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/taskcluster/generic-worker/internal/backoff"
)

// enough is what an attempt must bring to be worth as many attempts again.
const enough = 1 << 20

// stream is what a server sends, encoded as it is stored, over as many
// connections as it takes.
type stream struct {
	ctx    context.Context // of the download, because io.Reader takes none
	client *Client
	want   Request
	limits Limits
	err    error // how it ended, if not well

	body    io.ReadCloser // nil while not connected
	left    int64         // of body, as the answer promised; -1 unknown
	located string        // where the last attempt looked
	where   *url.URL      // the same
	tries   int           // requests made
	broke   *failure      // of body, which is to be followed by another
	refused *failure      // of the last URL; another one may do
	fails   int           // in a row, without bringing enough
	since   time.Time     // when the first of them was
	gained  int64         // bytes since enough was brought
	pause   time.Duration // before the next attempt, if it is due to fails

	answered bool // somebody listens there, whatever the answer was
	known    bool // an answer was accepted: the rest is what it said
	encoding string
	total    int64  // -1 unknown
	mark     string // validator for If-Range; empty if none will do
	offset   int64
	seen     maphash.Hash // of all that was handed on
}

func newStream(ctx context.Context, c *Client, r Request) *stream {
	limits := c.Limits.withDefaults()
	return &stream{ctx: ctx, client: c, want: r, limits: limits, pause: limits.FirstPause, total: -1}
}

// Read returns io.EOF only when all has arrived that the server promised.
func (s *stream) Read(p []byte) (int, error) {
	for s.err == nil {
		if s.body == nil {
			s.err = s.connectAgain()
			continue
		}
		n, err := s.body.Read(p)
		_, _ = s.seen.Write(p[:n]) // never fails
		s.count(int64(n))
		switch {
		case s.offset > s.most():
			s.err = s.fail(permanent("the server sends more than the limit of %d bytes", s.want.MaxBytes))
		case s.total >= 0 && s.offset > s.total:
			s.err = s.fail(changed())
		case err == nil:
			return n, nil
		case err == io.EOF && s.left <= 0 && (s.total < 0 || s.offset == s.total):
			s.disconnect()
			return n, io.EOF
		default:
			s.disconnect()
			s.broke = broken(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, s.err
}

func (s *stream) count(n int64) {
	s.offset += n
	if s.left >= 0 {
		s.left -= n
	}
	if s.gained += n; s.gained >= enough {
		s.fails, s.gained, s.pause = 0, 0, s.limits.FirstPause
	}
}

// most is how long an encoded body may be: gzip makes what cannot be compressed
// a little longer.
func (s *stream) most() int64 { return s.want.MaxBytes + s.want.MaxBytes/8 + 1<<20 }

func broken(err error) *failure {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return passing("the connection ended early")
	}
	return &failure{err: err, passing: true}
}

func (s *stream) connectAgain() error {
	if f := s.broke; f != nil {
		s.broke = nil
		if err := s.again(f); err != nil {
			return err
		}
	}
	return s.connect()
}

// connect makes attempts until one is answered with what is wanted.
func (s *stream) connect() error {
	for {
		err := s.attempt()
		if err == nil {
			return nil
		}
		s.disconnect()
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		f, ok := errors.AsType[*failure](err)
		if !ok {
			return err // of Locate
		}
		if err := s.again(f); err != nil {
			return err
		}
	}
}

// again returns after the pause that is due before the next attempt, or why
// there is none.
func (s *stream) again(f *failure) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	switch {
	case f.expired && s.refused == nil:
		s.refused = f
		return nil
	case !f.passing:
		return s.fail(f)
	case s.fails == 0:
		s.since = time.Now()
	}
	s.fails++
	s.answered = s.answered || s.known || f.status > 0
	wait := max(backoff.Jitter(s.pause), min(f.after, s.limits.RetryAfter))
	attempts := s.limits.Attempts
	if f.attempts > 0 && !s.answered {
		attempts = min(attempts, f.attempts)
	}
	if s.fails >= attempts || time.Since(s.since)+wait > s.limits.Elapsed {
		f.err = fmt.Errorf("given up after %d attempts: %w", s.fails, f.err)
		return s.fail(f)
	}
	s.client.logger().Warn("download broke off, trying again", "url", s.shown(), "offset", s.offset,
		"attempt", s.tries, "wait", wait.Round(time.Millisecond), "error", f.err)
	if s.want.Retrying != nil {
		s.want.Retrying(s.fail(f), wait)
	}
	s.pause = min(2*s.pause, s.limits.MaxPause)
	return backoff.Sleep(s.ctx, wait)
}

// fail is the end of the download. Body adds how much of it was read.
func (s *stream) fail(f *failure) error {
	err := f.err
	if f.at != "" {
		err = fmt.Errorf("redirected to %s: %w", f.at, err)
	}
	return &Error{URL: s.shown(), Status: f.status, Err: err, infrastructure: f.passing || f.broken}
}

func (s *stream) shown() string {
	if s.where == nil {
		return ""
	}
	return shown(s.where)
}

// attempt asks for what is left and gets as far as its first byte.
func (s *stream) attempt() error {
	address, err := s.want.Locate(s.ctx)
	if err != nil {
		return err
	}
	if s.refused != nil && address == s.located {
		return s.refused
	}
	s.located = address
	if s.where, err = checked(url.Parse(address)); err != nil {
		return err
	}
	s.tries++
	asked := s.mark != "" && s.offset > 0
	got, err := s.client.follow(s.ctx, s.where, s.header(asked))
	if err != nil {
		return err
	}
	s.body = got.Body
	if err := s.accept(got, asked); err != nil {
		if f, ok := errors.AsType[*failure](err); ok && got.from.Host != s.where.Host {
			f.at = shown(got.from)
		}
		return err
	}
	s.refused = nil
	return nil
}

func (s *stream) header(rest bool) http.Header {
	h := http.Header{"User-Agent": {"generic-worker"}, "Accept": {"*/*"}, "Accept-Encoding": {"gzip"}}
	if rest {
		h.Set("Range", fmt.Sprintf("bytes=%d-", s.offset))
		h.Set("If-Range", s.mark)
	}
	return h
}

func (s *stream) disconnect() {
	if s.body != nil {
		_ = s.body.Close() // nothing is expected of it any more
		s.body = nil
	}
}
