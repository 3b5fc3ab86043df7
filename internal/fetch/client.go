package fetch

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Client downloads. A worker has one for all its tasks, since it counts the
// downloads from each host. Its zero value is ready for use; its methods may be
// called concurrently; it must not be copied after first use.
type Client struct {
	// HTTP sends the requests; nil means one made by the package. That one goes
	// through the proxy named by HTTPS_PROXY, HTTP_PROXY and NO_PROXY and does
	// not connect to link-local addresses, where machines get their own
	// credentials. Only its transport is used.
	HTTP *http.Client
	// PerHost is how many answers of one host are open at once: 8. Others wait.
	// Whoever holds that many and reads none of them waits for ever.
	PerHost int
	// Log gets one line for each attempt that failed, without queries, user
	// names and passwords of URLs; nil discards them.
	Log *slog.Logger
	// Limits bounds the waits. Its zero value is what production uses.
	Limits Limits

	prepare sync.Once
	sender  http.RoundTripper
	hosts   hosts
}

// Limits bounds what a Client waits for. A zero field means its default.
type Limits struct {
	FirstByte  time.Duration // from a request sent to the head of its answer: 60 s
	Stall      time.Duration // without a byte of a body: 60 s
	Drip       time.Duration // with less than 64 KiB of a body: 5 min
	Attempts   int           // in a row that bring less than 1 MiB: 16; of a host that never answered 8 if it refuses connections, 4 if there is none of its name
	Elapsed    time.Duration // of such attempts in a row, with their pauses: 15 min
	FirstPause time.Duration // before the second of them: 500 ms; it doubles from there, with jitter
	MaxPause   time.Duration // between two of them: 30 s
	RetryAfter time.Duration // honoured of a Retry-After header: 5 min
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, byDefault time.Duration) {
		if *d == 0 {
			*d = byDefault
		}
	}
	set(&l.FirstByte, time.Minute)
	set(&l.Stall, time.Minute)
	set(&l.Drip, 5*time.Minute)
	set(&l.Elapsed, 15*time.Minute)
	set(&l.FirstPause, 500*time.Millisecond)
	set(&l.MaxPause, 30*time.Second)
	set(&l.RetryAfter, 5*time.Minute)
	if l.Attempts == 0 {
		l.Attempts = 16
	}
	return l
}

const (
	defaultPerHost  = 8
	defaultMaxBytes = 20 << 30
	largest         = 1 << 60 // so that sums do not overflow
)

// Request says what to download.
type Request struct {
	// Locate returns the URL to download from. It is asked before every
	// attempt, so that it may return one that has not expired; one with a query
	// that is refused is asked for once more. Its errors end the download as
	// they are.
	Locate func(ctx context.Context) (string, error)
	// MaxBytes is how long the content may be, as decoded: 20 GiB.
	MaxBytes int64
	// Progress is told how many bytes have arrived, of how many: as they are
	// sent, which is less than is read if they are sent gzipped. The total is -1
	// if the server does not tell it. Progress is called every 5 s at most, and
	// at the end, by whoever reads.
	Progress func(done, total int64)
	// Retrying, if set, is told why an attempt failed and how long it is until
	// the next one. It is called before that pause, from any goroutine, one call
	// at a time, and never after the body is closed.
	Retrying func(err error, wait time.Duration)
}

// Open starts a download and returns when its first answer has arrived. The
// body goes on under ctx, and reports its cause once that is done; the caller
// closes it. Other errors are *Error, or those of Request.Locate.
func (c *Client) Open(ctx context.Context, r Request) (*Body, error) {
	if r.MaxBytes <= 0 {
		r.MaxBytes = defaultMaxBytes
	}
	r.MaxBytes = min(r.MaxBytes, largest)
	ctx, stop := context.WithCancelCause(ctx)
	s := newStream(ctx, c, r)
	if err := s.connect(); err != nil {
		s.disconnect()
		stop(nil)
		return nil, err
	}
	b := &Body{ahead: newAhead(s, r.MaxBytes), stop: stop, progress: r.Progress, told: time.Now()}
	b.block.tries, b.block.total = s.tries, s.total
	go b.ahead.run()
	return b, nil
}

// CloseIdle drops connections that are kept for further downloads.
func (c *Client) CloseIdle() {
	(&http.Client{Transport: c.transport()}).CloseIdleConnections()
}

func (c *Client) logger() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// transport returns what sends requests. It is used without its http.Client,
// whose errors quote URLs, which may carry a signature.
func (c *Client) transport() http.RoundTripper {
	c.prepare.Do(func() {
		switch {
		case c.HTTP == nil:
			c.sender = newTransport()
		case c.HTTP.Transport == nil:
			c.sender = http.DefaultTransport
		default:
			c.sender = c.HTTP.Transport
		}
	})
	return c.sender
}
