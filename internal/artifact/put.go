package artifact

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/internal/backoff"
)

const (
	maxAttempts = 5
	stall       = time.Minute // without any progress a request is given up
	firstPause  = 200 * time.Millisecond
	maxPause    = 30 * time.Second
	maxAnswer   = 64 << 10
)

var (
	errStalled = errors.New("no progress for too long")
	errEarly   = errors.New("it answered before all bytes were sent")
	errAddress = errors.New("the queue gave an address that is not an http or https URL")
	errHeader  = errors.New("the queue gave a header that cannot be sent")
)

// target is where a body goes. Its URL is a credential.
type target struct {
	url    string
	header map[string]string
}

func (t target) check() error {
	u, err := url.Parse(t.url)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return errAddress
	}
	for _, value := range t.header {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return errHeader
		}
	}
	return nil
}

// put sends a body until the storage has confirmed all of it, beginning anew
// after each failure that may pass. A refusal that a fresh URL may cure is
// returned at once.
func (p *Publisher) put(ctx context.Context, to target, b *body, rec *Record) error {
	if err := to.check(); err != nil {
		return &StorageError{Name: rec.Name, Err: err}
	}
	for attempt := 1; ; attempt++ {
		rec.Attempts++
		after, err := p.attempt(ctx, to, b, rec.Name)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case attempt == maxAttempts || !passing(err):
			return err
		}
		p.log().WarnContext(ctx, "upload failed, will try again", "artifact", rec.Name, "attempt", attempt, "error", err)
		if err := p.pause(ctx, attempt, after); err != nil {
			return err
		}
	}
}

// passing tells whether the same request may succeed later. Storage services
// answer 400 to a connection that was too slow or broke.
func passing(err error) bool {
	failure, ok := errors.AsType[*StorageError](err)
	if !ok {
		return false
	}
	switch failure.Status {
	case 0, http.StatusBadRequest, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return failure.Status/100 == 2 || failure.Status >= 500
}

// refused tells whether a fresh URL or fresh credentials may help.
func refused(err error) bool {
	failure, ok := errors.AsType[*StorageError](err)
	return ok && (failure.Status == http.StatusForbidden || failure.Status == http.StatusUnauthorized)
}

// pause waits before the next attempt: longer each time, or as long as the server asked for.
func (p *Publisher) pause(ctx context.Context, attempt int, asked time.Duration) error {
	d := p.firstPause()
	for range attempt - 1 {
		d = min(5*d, maxPause)
	}
	return backoff.Sleep(ctx, max(backoff.Jitter(d), min(asked, maxPause)))
}

// attempt sends the body once. It returns when the transport reads it no more.
func (p *Publisher) attempt(ctx context.Context, to target, b *body, name string) (time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(p.stall(), func() { cancel(errStalled) })
	defer watch.Stop()
	s, err := newSender(b, func() { watch.Reset(p.stall()) })
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, to.url, s)
	if err != nil {
		return 0, &StorageError{Name: name, Err: errAddress}
	}
	for key, value := range to.header {
		req.Header.Set(key, value)
	}
	req.Header.Del("Content-Length") // sent from the field below, once
	req.ContentLength = b.stored
	if b.stored == 0 {
		s.Close()
		req.Body = http.NoBody
	}
	resp, err := p.client().Do(req)
	var after time.Duration
	if err == nil {
		watch.Reset(p.stall())
		after, err = s.judge(name, resp)
	}
	cancel(nil)
	s.wait()
	switch {
	case s.err != nil: // of the file itself, whatever the storage says
		return 0, s.err
	case s.complete():
		b.sum = s.sum() // any further attempt must send the same
	}
	if err == nil {
		return 0, nil
	}
	if _, ok := errors.AsType[*StorageError](err); !ok {
		err = &StorageError{Name: name, Err: plain(ctx, err)}
	}
	return after, err
}

// plain takes the URL out of a transport's error, and the reason out of a canceled one.
func plain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		return cause
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// judge returns nil if the answer confirms everything that was to be sent.
func (s *sender) judge(name string, resp *http.Response) (time.Duration, error) {
	defer resp.Body.Close()
	excerpt, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 == 2 {
		if !s.complete() {
			return 0, &StorageError{Name: name, Status: resp.StatusCode, Err: errEarly}
		}
		return 0, err
	}
	failure := &StorageError{Name: name, Status: resp.StatusCode}
	failure.Code, failure.Message = explain(excerpt)
	return backoff.RetryAfter(resp.Header, time.Now()), failure
}

// explain returns the two parts of a storage service's answer that say what is
// wrong without repeating the request.
func explain(answer []byte) (code, message string) {
	var said struct {
		Code    string
		Message string
	}
	if xml.Unmarshal(answer, &said) != nil {
		return "", ""
	}
	return clip(said.Code, 64), clip(said.Message, 256)
}

func clip(text string, limit int) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "")
	}
	return text
}
