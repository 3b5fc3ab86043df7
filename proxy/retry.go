package proxy

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/taskcluster/generic-worker/internal/backoff"
)

const (
	attempts   = 4
	firstPause = 250 * time.Millisecond
	// mostPause is the longest Retry-After that is waited for; the client gets
	// an answer that asks for more.
	mostPause = 10 * time.Second
	// elapsed is the time after the first attempt in which another may begin.
	elapsed   = 30 * time.Second
	mostDrain = 64 << 10
)

// retrier repeats what may be repeated.
type retrier struct {
	to   http.RoundTripper
	sent *sentBody
}

// RoundTrip returns the last answer there was.
func (r *retrier) RoundTrip(request *http.Request) (*http.Response, error) {
	begun := time.Now()
	pause := firstPause
	for n := 1; ; n++ {
		answer, connected, err := r.attempt(request)
		if n == attempts || !r.again(request, answer, connected, err) {
			return answer, err
		}
		wait := backoff.Jitter(pause)
		if answer != nil {
			wait = max(wait, backoff.RetryAfter(answer.Header, time.Now()))
		}
		if wait > mostPause || time.Since(begun)+wait > elapsed {
			return answer, err
		}
		if answer != nil {
			// A connection is kept if the rest of the answer is short.
			_, _ = io.CopyN(io.Discard, answer.Body, mostDrain)
			_ = answer.Body.Close()
		}
		if err := backoff.Sleep(request.Context(), wait); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

// attempt tells whether there was a connection on which something may have
// been sent.
func (r *retrier) attempt(request *http.Request) (*http.Response, bool, error) {
	var connected atomic.Bool
	ctx := httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	answer, err := r.to.RoundTrip(request.WithContext(ctx))
	return answer, connected.Load(), err
}

// again tells whether a request may be made once more.
func (r *retrier) again(request *http.Request, answer *http.Response, connected bool, err error) bool {
	if request.Context().Err() != nil {
		return false
	}
	if err != nil && !connected && !r.sent.begun.Load() {
		return true
	}
	switch request.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		return false
	}
	if request.Body != nil && request.Body != http.NoBody {
		return false
	}
	return err != nil || passing(answer)
}

// passing tells whether an answer may be another one soon.
func passing(answer *http.Response) bool {
	switch answer.StatusCode {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return answer.StatusCode == http.StatusTooManyRequests && answer.Header.Get("Retry-After") != ""
}
