package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/taskcluster/generic-worker/internal/mask"
)

// send makes one HTTP request. The head of the answer must come within
// firstByte of the request's last byte, the body without a pause longer than
// Limits.Idle. Failures are transient.
func (c *Client) send(req *http.Request, firstByte time.Duration) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	var answered atomic.Bool
	late := fmt.Errorf("no answer within %s", firstByte)
	watch := time.AfterFunc(connectTimeout+handshakeTimeout+firstByte, func() {
		if !answered.Load() {
			cancel(late)
		}
	})
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { watch.Reset(firstByte) },
	})
	resp, err := c.transport().RoundTrip(req.WithContext(ctx))
	answered.Store(true)
	watch.Stop()
	if err != nil {
		defer cancel(nil)
		return nil, &transient{err: reasonOf(ctx, err)}
	}
	resp.Request = req
	resp.Body = newSteadyBody(ctx, cancel, resp.Body, c.Limits.withDefaults().Idle)
	return resp, nil
}

// reasonOf prefers why a request was given up to how it looked from inside.
func reasonOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// steadyBody ends a body that stops coming. Only time spent in Read counts.
type steadyBody struct {
	ctx    context.Context // of the request, because io.Reader takes none: its cause tells why reading failed
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	idle   time.Duration
	watch  *time.Timer
}

func newSteadyBody(ctx context.Context, cancel context.CancelCauseFunc, body io.ReadCloser, idle time.Duration) *steadyBody {
	stuck := fmt.Errorf("no byte of the answer within %s", idle)
	watch := time.AfterFunc(idle, func() { cancel(stuck) })
	watch.Stop()
	return &steadyBody{ctx: ctx, cancel: cancel, body: body, idle: idle, watch: watch}
}

func (b *steadyBody) Read(p []byte) (int, error) {
	b.watch.Reset(b.idle)
	n, err := b.body.Read(p)
	b.watch.Stop()
	if err != nil && err != io.EOF {
		err = reasonOf(b.ctx, err)
	}
	return n, err
}

func (b *steadyBody) Close() error {
	b.watch.Stop()
	err := b.body.Close()
	b.cancel(nil)
	return err
}

// readAnswer reads the body of a good answer. It holds no more than the limit
// of one that is too long.
func readAnswer(resp *http.Response) ([]byte, error) {
	tooLong := fmt.Errorf("answer is longer than %d bytes", maxAnswer)
	if resp.ContentLength > maxAnswer {
		return nil, tooLong
	}
	var parts [][]byte
	part := make([]byte, 0, max(4<<10, resp.ContentLength+1))
	for total := 0; ; {
		n, err := resp.Body.Read(part[len(part):cap(part)])
		total += n
		part = part[:len(part)+n]
		switch {
		case total > maxAnswer:
			return nil, tooLong
		case err == io.EOF:
			return bytes.Join(append(parts, part), nil), nil
		case err != nil:
			return nil, fmt.Errorf("cannot read the answer: %w", err)
		case len(part) == cap(part):
			parts = append(parts, part)
			part = make([]byte, 0, min(2*cap(part), 1<<20))
		}
	}
}

const (
	maxRefusal     = 64 << 10 // bytes read of a refusal's body
	maxMessage     = 1 << 10  // bytes kept of its message
	refusalTimeout = time.Minute
)

// newError reads a refusal's body and closes it. The queue's refusals are
// JSON; what proxies say in its name is kept as text.
func newError(call string, resp *http.Response, secrets []string) *Error {
	defer resp.Body.Close()
	defer time.AfterFunc(refusalTimeout, func() { resp.Body.Close() }).Stop()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // a part of a message is better than none
	var doc struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Reason  string `json:"reason"` // of an error artifact
	}
	foreign := json.Unmarshal(body, &doc) != nil || doc.Code+doc.Message+doc.Reason == ""
	if foreign {
		doc.Message = string(bytes.TrimSpace(body))
	}
	if doc.Code == "" {
		doc.Code = doc.Reason
	}
	if doc.Code == "" {
		doc.Code = http.StatusText(resp.StatusCode)
	}
	return &Error{
		Call:    call,
		Status:  resp.StatusCode,
		Code:    excerpt(doc.Code, secrets),
		Message: excerpt(doc.Message, secrets),
		foreign: foreign,
	}
}

// excerpt returns what may be shown of a text that others wrote: its first
// part, without secrets and control characters.
func excerpt(s string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, mask.Mark)
		}
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= maxMessage {
		return s
	}
	end := maxMessage
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
