package queue

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

// clock knows how far the queue's clock is ahead of this machine's.
type clock struct {
	mu     sync.Mutex
	ahead  time.Duration
	warned time.Time
}

// offset is zero unless the clocks differ more than signatures tolerate.
func (c *clock) offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ahead.Abs() <= tolerableOffset {
		return 0
	}
	return c.ahead
}

// learn compares the clocks when an answer has arrived.
func (c *clock) learn(h http.Header, received time.Time, log *slog.Logger) {
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

// expiry converts a moment by the queue's clock to this machine's, so that
// steps of the wall clock do not move it.
func (c *clock) expiry(takenUntil time.Time, a answer) time.Time {
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		date = a.received.Round(0).Add(c.offset())
	}
	return a.received.Add(takenUntil.Sub(date))
}
