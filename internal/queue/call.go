package queue

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/internal/backoff"
)

// call is one API call, from its first attempt to its last.
type call struct {
	name   string // the API method
	method string
	route  string // below /api/<service>/v1, escaped
	query  url.Values
	body   []byte // JSON; nil for none. Every attempt sends the same bytes.
	claim  *Claim // whose credentials sign; nil for the worker's

	service string             // "" for the queue
	signer  func() Credentials // instead of claim

	// decode takes a good answer apart; its error makes the answer garbage.
	// Nil accepts any.
	decode func(answer) error

	once      bool          // one attempt
	endless   bool          // attempts until ctx is done
	firstByte time.Duration // instead of Limits.FirstByte

	signedOffset time.Duration // of the last attempt
	secrets      []string      // that the last attempt was signed with
}

// answer is one answer with a 2xx status, read to its end.
type answer struct {
	header   http.Header
	body     []byte
	received time.Time
}

// target names the call and what it is about, for messages.
func (k *call) target() string { return k.name + " " + k.route }

// transient is a failure after which the same call may succeed.
type transient struct {
	err   error
	after time.Duration // the answer's Retry-After
}

func (t *transient) Error() string { return t.err.Error() }
func (t *transient) Unwrap() error { return t.err }

// do makes a call: it repeats attempts as long as they fail transiently.
func (c *Client) do(ctx context.Context, k *call) error {
	return c.retry(ctx, k, func() error { return c.attempt(ctx, k) })
}

// attempt sends a call once and reads its answer.
func (c *Client) attempt(ctx context.Context, k *call) error {
	limits := c.Limits.withDefaults()
	tooLong := fmt.Errorf("no complete answer within %s", limits.Total)
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Total, tooLong)
	defer cancel()

	resp, err := c.sendSigned(ctx, k)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got := answer{header: resp.Header, received: time.Now()}
	c.clock.Learn(resp.Header, got.received, c.logger())
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return notByProxy(c.refused(k, resp))
	}
	if got.body, err = readAnswer(resp); err != nil {
		return &transient{err: err}
	}
	if k.decode == nil {
		return nil
	}
	if err := k.decode(got); err != nil {
		// The body may hold credentials: say what is wrong with it, not what is in it.
		return &transient{err: fmt.Errorf("answer not understood: %w", err)}
	}
	return nil
}

// sendSigned sends a call and returns the head of its answer.
func (c *Client) sendSigned(ctx context.Context, k *call) (*http.Response, error) {
	req, err := c.request(ctx, k)
	if err != nil {
		return nil, err
	}
	creds := c.credentials(k)
	k.signedOffset = c.clock.Offset()
	k.secrets = []string{string(creds.AccessToken), string(creds.Certificate)}
	if err := sign(req, creds, k.signedOffset); err != nil {
		return nil, err
	}
	firstByte := k.firstByte
	if firstByte == 0 {
		firstByte = c.Limits.withDefaults().FirstByte
	}
	return c.send(req, firstByte)
}

// errRootURL does not repeat the URL, which may have a password in it.
var errRootURL = errors.New("cannot use the root URL: it must look like https://tc.example.com, with a host and without a user name")

func (c *Client) request(ctx context.Context, k *call) (*http.Request, error) {
	address := strings.TrimRight(c.RootURL, "/") + "/api/" + cmp.Or(k.service, "queue") + "/v1" + k.route
	if len(k.query) > 0 {
		address += "?" + k.query.Encode()
	}
	var body io.Reader
	if k.body != nil {
		body = bytes.NewReader(k.body)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, address, body)
	if err != nil || (req.URL.Scheme != "http" && req.URL.Scheme != "https") || req.URL.Host == "" || req.URL.User != nil {
		return nil, errRootURL
	}
	// The queue computes the signature over the lower-case name.
	req.URL.Host = strings.ToLower(req.URL.Host)
	req.Host = req.URL.Host
	req.Header.Set("User-Agent", "generic-worker")
	req.Header.Set("Accept", "application/json")
	if k.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

func (c *Client) credentials(k *call) Credentials {
	switch {
	case k.signer != nil:
		return k.signer()
	case k.claim != nil:
		return c.renewed.newest(*k.claim)
	case c.Credentials != nil:
		return c.Credentials()
	}
	return Credentials{}
}

// refused turns an answer without a 2xx status into an error.
func (c *Client) refused(k *call, resp *http.Response) error {
	if resp.StatusCode < 400 {
		return &transient{err: fmt.Errorf("unexpected answer with status %d: the queue does not redirect this call", resp.StatusCode)}
	}
	err := newError(k.name, resp, k.secrets)
	switch {
	case err.Status >= 500, err.Status == http.StatusTooManyRequests,
		err.Status == http.StatusRequestTimeout, err.Status == http.StatusTooEarly:
		return &transient{err: err, after: backoff.RetryAfter(resp.Header, time.Now().Add(c.clock.Offset()))}
	}
	return err
}

// notByProxy makes a refusal transient that would end a run but that the queue
// did not write: ingresses and portals have error pages of their own.
func notByProxy(err error) error {
	refused, ok := errors.AsType[*Error](err)
	if !ok || !refused.foreign {
		return err
	}
	switch refused.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusGone:
		return &transient{err: fmt.Errorf("status %d did not come from the queue: %s", refused.Status, refused.Message)}
	}
	return err
}

// stale tells that a refusal may come from signing with a wrong clock, and
// that the answer has told the right one.
func (c *Client) stale(k *call, err error) bool {
	refused, ok := errors.AsType[*Error](err)
	return ok && refused.Status == http.StatusUnauthorized && c.clock.Offset() != k.signedOffset
}
