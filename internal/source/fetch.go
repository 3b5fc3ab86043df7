package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/internal/backoff"
	"github.com/taskcluster/generic-worker/internal/mask"
)

// Limits bound what a Forge waits for and reads. A zero field means its
// default.
type Limits struct {
	Attempt    time.Duration // one request with its redirects: 30 s
	Attempts   int           // of one question: 4
	FirstPause time.Duration // before the second attempt: 1 s; it doubles from there, with jitter
	MaxWait    time.Duration // that a server may ask for before the next attempt: 2 min
	Answer     int64         // bytes of one answer: 8 MiB
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, byDefault time.Duration) {
		if *d == 0 {
			*d = byDefault
		}
	}
	set(&l.Attempt, 30*time.Second)
	set(&l.FirstPause, time.Second)
	set(&l.MaxWait, 2*time.Minute)
	if l.Attempts == 0 {
		l.Attempts = 4
	}
	if l.Answer == 0 {
		l.Answer = 8 << 20
	}
	return l
}

// maxRedirects bounds the way from an address to its content.
const maxRedirects = 5

// fetcher gets documents from servers.
type fetcher struct {
	sender http.RoundTripper
	log    *slog.Logger
	limits Limits
	// bases are the addresses of the servers, as scheme://host. Redirects may
	// lead to these, and by https to hosts.
	bases map[string]bool
	hosts map[string]bool
}

// request is one question.
type request struct {
	address string
	accept  string      // media type
	token   mask.Secret // "" for none
}

// passing is a failure after which the same request may succeed.
type passing struct {
	err   error
	after time.Duration // what the server asked to wait
}

func (p *passing) Error() string { return p.err.Error() }
func (p *passing) Unwrap() error { return p.err }

// get returns an answer. An error is chain.ErrNotFound if the server says that
// there is no such thing.
func (f *fetcher) get(ctx context.Context, r request) ([]byte, error) {
	pause := f.limits.FirstPause
	for n := 1; ; n++ {
		body, err := f.attempt(ctx, r)
		again, ok := errors.AsType[*passing](err)
		if !ok {
			return body, err
		}
		wait := max(backoff.Jitter(pause), again.after)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if n == f.limits.Attempts || wait > f.limits.MaxWait {
			return nil, fmt.Errorf("cannot get %s (attempt %d): %w", r.address, n, err)
		}
		f.log.Warn("getting a document failed, trying again", "address", r.address, "attempt", n,
			"wait", wait.Round(time.Millisecond), "error", err)
		if err := backoff.Sleep(ctx, wait); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

// attempt asks once, and follows redirects.
func (f *fetcher) attempt(ctx context.Context, r request) ([]byte, error) {
	tooLong := fmt.Errorf("no complete answer within %s", f.limits.Attempt)
	ctx, cancel := context.WithTimeoutCause(ctx, f.limits.Attempt, tooLong)
	defer cancel()
	where, err := url.Parse(r.address)
	if err != nil {
		return nil, fmt.Errorf("cannot get a document: %w", err)
	}
	first := where
	for range maxRedirects {
		resp, err := f.send(ctx, where, first, r)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 300 || resp.StatusCode >= 400 {
			return f.answer(ctx, resp, r)
		}
		resp.Body.Close()
		next, err := where.Parse(resp.Header.Get("Location"))
		if err != nil || resp.Header.Get("Location") == "" {
			return nil, fmt.Errorf("cannot get %s: its redirect leads nowhere", r.address)
		}
		if !f.mayFollow(next) {
			return nil, fmt.Errorf("cannot get %s: it redirects to %s://%s, which is none of the servers that may be asked", r.address, next.Scheme, next.Host)
		}
		where = next
	}
	return nil, fmt.Errorf("cannot get %s: more than %d redirects", r.address, maxRedirects)
}

func (f *fetcher) mayFollow(next *url.URL) bool {
	return next.User == nil && (f.bases[next.Scheme+"://"+next.Host] || next.Scheme == "https" && f.hosts[next.Host])
}

// send makes one request. The token goes to no other host than the first.
func (f *fetcher) send(ctx context.Context, where, first *url.URL, r request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("cannot get %s: %w", r.address, err)
	}
	req.Header.Set("User-Agent", "generic-worker")
	req.Header.Set("Accept", r.accept)
	if r.token != "" && where.Scheme == first.Scheme && where.Host == first.Host {
		req.Header.Set("Authorization", "Bearer "+string(r.token))
	}
	resp, err := f.sender.RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, &passing{err: err}
	}
	return resp, nil
}

// answer reads the body of a good answer, and tells bad ones apart.
func (f *fetcher) answer(ctx context.Context, resp *http.Response, r request) ([]byte, error) {
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
	case code == http.StatusNotFound || code == http.StatusGone || code == http.StatusUnprocessableEntity:
		// GitHub calls a commit that it does not have unprocessable.
		hint := ""
		if r.token == "" && code == http.StatusNotFound {
			hint = ", or cannot be read without a token"
		}
		return nil, fmt.Errorf("%s %w%s", r.address, chain.ErrNotFound, hint)
	case code == http.StatusTooManyRequests || code == http.StatusForbidden && isLimited(resp.Header):
		return nil, &passing{err: fmt.Errorf("too many requests (status %d); a token allows more", code), after: waitFor(resp.Header)}
	case code >= 500:
		return nil, &passing{err: fmt.Errorf("the server answers with status %d", code), after: waitFor(resp.Header)}
	default:
		return nil, fmt.Errorf("cannot get %s: the server answers with status %d", r.address, code)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, f.limits.Answer+1))
	if int64(len(body)) > f.limits.Answer {
		return nil, fmt.Errorf("cannot get %s: it has more than %d bytes", r.address, f.limits.Answer)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, &passing{err: fmt.Errorf("cannot read the answer: %w", err)}
	}
	return body, nil
}

// isLimited tells whether an answer is about too many requests.
func isLimited(h http.Header) bool {
	return h.Get("Retry-After") != "" || h.Get("X-Ratelimit-Remaining") == "0"
}

// waitFor returns how long a server asks to wait: by Retry-After, or else until a
// limit of GitHub begins anew.
func waitFor(h http.Header) time.Duration {
	if h.Get("Retry-After") == "" && h.Get("X-Ratelimit-Remaining") == "0" {
		if at, err := strconv.ParseInt(h.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
			h.Set("Retry-After", time.Unix(at, 0).UTC().Format(http.TimeFormat))
		}
	}
	return backoff.RetryAfter(h, time.Now())
}
