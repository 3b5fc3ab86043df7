package fetch

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// Error is why a download ended.
type Error struct {
	URL    string // without user, query and fragment; empty if there was none
	Status int    // of the answer that decided; 0 if none did
	Offset int64  // decoded bytes that had been read
	Err    error

	infrastructure bool
}

func (e *Error) Error() string {
	where := e.URL
	if where == "" {
		where = "content"
	}
	if e.Offset > 0 {
		return fmt.Sprintf("cannot download %s after byte %d: %v", where, e.Offset, e.Err)
	}
	return fmt.Sprintf("cannot download %s: %v", where, e.Err)
}

// Unwrap returns what happened.
func (e *Error) Unwrap() error { return e.Err }

// Infrastructure tells that the same download may succeed later: the server was
// broken or busy, or the way to it. False means that whoever named the URL has
// to change something.
func (e *Error) Infrastructure() bool { return e.infrastructure }

// ErrChanged is that the content became another while it was downloaded, after
// a broken connection. Whoever threw away what was read may start again.
var ErrChanged = errors.New("the content has changed since the download began")

// failure is why an attempt failed.
type failure struct {
	err    error
	status int
	// passing: the next attempt may succeed. broken: it would not, but a later
	// download may.
	passing, broken bool
	expired         bool          // it would if the URL was another one
	attempts        int           // that are enough for a server that has never answered, if not 0
	after           time.Duration // what the server asked to wait
	at              string        // where the answer came from, if redirected
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func permanent(format string, args ...any) *failure {
	return &failure{err: fmt.Errorf(format, args...)}
}

func passing(format string, args ...any) *failure {
	return &failure{err: fmt.Errorf(format, args...), passing: true}
}

const (
	// nameAttempts take seconds: a name that does not exist will not soon.
	nameAttempts = 4
	// refusedAttempts take a minute, in which a server is started again. Where
	// there is none, the worker has better things to do than to ask for longer.
	refusedAttempts = 8
)

// unsent sorts the failures of a request that got no answer.
func unsent(err error) *failure {
	if place, ok := errors.AsType[*refusedPlace](err); ok {
		return &failure{err: place}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &failure{err: err}
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return &failure{err: err}
	}
	f := &failure{err: err, passing: true}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		f.attempts = nameAttempts
	} else if errors.Is(err, connectionRefused) {
		f.attempts = refusedAttempts
	}
	return f
}
