// Package skew knows how far a server's clock is ahead of this machine's, from
// the dates of its answers.
package skew

import (
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	tolerableOffset = 30 * time.Second
	offsetWarnings  = time.Hour // between two
)

// Clock is the clock of one server. The zero value is right until an answer
// tells otherwise. Its methods may be called concurrently.
type Clock struct {
	mu     sync.Mutex
	ahead  time.Duration
	warned time.Time
}

// Offset is how much the server's clock is ahead: zero unless the clocks differ
// by more than 30 s, which signatures tolerate.
func (c *Clock) Offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ahead.Abs() <= tolerableOffset {
		return 0
	}
	return c.ahead
}

// Learn compares the clocks by the head of an answer and when it was received.
// It warns, at most once an hour, of clocks that differ too much.
func (c *Clock) Learn(h http.Header, received time.Time, log *slog.Logger) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || h.Get("Age") != "" { // a cache's answer tells the time it was stored
		return
	}
	// The header has whole seconds, cut off. Round(0) drops the monotonic
	// reading: the wall clock is what signatures are made with.
	ahead := date.Add(500 * time.Millisecond).Sub(received.Round(0))
	c.mu.Lock()
	c.ahead = ahead
	warn := ahead.Abs() > tolerableOffset && (c.warned.IsZero() || received.Sub(c.warned) >= offsetWarnings)
	if warn {
		c.warned = received
	}
	c.mu.Unlock()
	if warn {
		log.Warn("this machine's clock differs from the queue's; set it by NTP. Requests are signed with the queue's time",
			"ahead", -ahead.Round(time.Second))
	}
}

// Here converts a moment by the server's clock, told in an answer, to this
// machine's monotonic clock, so that steps of the wall clock do not move it.
func (c *Clock) Here(there time.Time, h http.Header, received time.Time) time.Time {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		date = received.Round(0).Add(c.Offset())
	}
	return received.Add(there.Sub(date))
}
