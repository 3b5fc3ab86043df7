package queue

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue/skew"
)

// Client makes the queue's calls over HTTP. Only RootURL must be set. Its
// methods may be called concurrently; it must not be copied after first use.
//
// A refusal by the queue is an *Error. A call that got no usable answer is
// tried again, with growing pauses, until Limits.Elapsed is over, and then
// reports an error that is ErrUnavailable; Claim is tried once, and Reclaim and
// Resolve until ctx is done. Under a done ctx calls report its cause.
type Client struct {
	// RootURL is the address of the Taskcluster deployment, such as
	// https://tc.example.com.
	RootURL string
	// Credentials returns the worker's current credentials. It is asked
	// whenever a request is signed. Without it, or with an empty ClientID,
	// requests are not signed.
	Credentials func() Credentials
	// HTTP sends the requests; nil means one made by NewHTTPClient. Only its
	// transport is used: authenticated calls follow no redirect.
	HTTP *http.Client
	// Log gets one line per retry and never a secret; nil discards them.
	Log *slog.Logger
	// Limits bounds the waits. Its zero value is what production uses.
	Limits Limits

	prepare sync.Once
	sender  http.RoundTripper
	clock   skew.Clock
	renewed renewals
}

// Limits bounds what a Client waits for. A zero field means its default.
type Limits struct {
	FirstByte  time.Duration // from a request sent to the head of its answer: 30 s
	LongPoll   time.Duration // the same for Claim, which the queue may hold for 20 s: 35 s
	Idle       time.Duration // without a byte of an answer's body: 60 s
	Total      time.Duration // one attempt of a call other than OpenArtifact's download: 5 min
	Elapsed    time.Duration // all attempts of one call together: 15 min
	FirstPause time.Duration // before the second attempt: 500 ms; it doubles from there
	MaxPause   time.Duration // between two attempts: 30 s; jitter of half the pause comes on top
	RetryAfter time.Duration // honoured of a Retry-After header: 5 min
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, byDefault time.Duration) {
		if *d == 0 {
			*d = byDefault
		}
	}
	set(&l.FirstByte, 30*time.Second)
	set(&l.LongPoll, 35*time.Second)
	set(&l.Idle, time.Minute)
	set(&l.Total, 5*time.Minute)
	set(&l.Elapsed, 15*time.Minute)
	set(&l.FirstPause, 500*time.Millisecond)
	set(&l.MaxPause, 30*time.Second)
	set(&l.RetryAfter, 5*time.Minute)
	return l
}

// maxAnswer bounds the body of an answer, in bytes.
const maxAnswer = 16 << 20

// ClockOffset is how much the queue's clock is ahead of this machine's, as its
// last answer told; zero as long as it is below 30 s. What must carry the
// queue's time adds it to time.Now.
func (c *Client) ClockOffset() time.Duration { return c.clock.Offset() }

func (c *Client) logger() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// transport returns what sends requests. It is used without its http.Client,
// which parses redirects even when it does not follow them and quotes their
// address, which may carry a signature, in errors.
func (c *Client) transport() http.RoundTripper {
	c.prepare.Do(func() {
		given := c.HTTP
		if given == nil {
			given = NewHTTPClient()
		}
		c.sender = given.Transport
		if c.sender == nil {
			c.sender = http.DefaultTransport
		}
	})
	return c.sender
}

// isObject refuses answers that are not a JSON object.
func isObject(a answer) error {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(a.body, &doc); err != nil {
		return err
	}
	if doc == nil {
		return errors.New("it is null")
	}
	return nil
}

func segment(s string) string {
	switch s {
	case ".", "..": // proxies resolve these before the queue sees them
		return "%2E" + s[1:]
	}
	return url.PathEscape(s)
}
