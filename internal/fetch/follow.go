package fetch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"
)

const (
	maxRedirects = 10
	// maxDrained is how much of a redirect's body is read so that its
	// connection can be used again.
	maxDrained = 2 << 10
)

// answer is an answer that is not a redirect. Closing its body leaves its host.
type answer struct {
	*http.Response
	from *url.URL
}

// follow asks for a URL, and for those that it is redirected to. A user and
// password in the URL are for its own host only.
func (c *Client) follow(ctx context.Context, first *url.URL, header http.Header) (*answer, error) {
	where := first
	for range maxRedirects + 1 {
		resp, err := c.get(ctx, where, first, header)
		if err != nil {
			return nil, err
		}
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
			http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			return &answer{Response: resp, from: where}, nil
		}
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrained) // what is left costs no more than the connection
		resp.Body.Close()
		location := resp.Header.Get("Location")
		if location == "" {
			return nil, passing("status %d does not say where the content is", resp.StatusCode)
		}
		next, err := checked(where.Parse(location))
		if err != nil {
			return nil, permanent("cannot follow its redirect: %w", err)
		}
		where = next
	}
	return nil, permanent("more than %d redirects", maxRedirects)
}

// get makes one request, when its host has room for it.
func (c *Client) get(ctx context.Context, where, first *url.URL, header http.Header) (*http.Response, error) {
	perHost := c.PerHost
	if perHost <= 0 {
		perHost = defaultPerHost
	}
	leave, err := c.hosts.enter(ctx, where.Host, perHost)
	if err != nil {
		return nil, err
	}
	bare := *where
	bare.User = nil
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, bare.String(), nil)
	if err != nil {
		leave()
		return nil, permanent("the URL is not valid")
	}
	req.Header = header.Clone()
	if user := first.User; user != nil && where.Scheme == first.Scheme && where.Host == first.Host {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	resp, err := c.send(req)
	if err != nil {
		leave()
		return nil, err
	}
	resp.Body = &leaving{ReadCloser: resp.Body, leave: leave}
	return resp, nil
}

type leaving struct {
	io.ReadCloser
	leave func()
}

func (l *leaving) Close() error {
	defer l.leave()
	return l.ReadCloser.Close()
}

// send makes a request. The head of its answer must come within
// Limits.FirstByte of the request's last byte.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	limits := c.Limits.withDefaults()
	ctx, cancel := context.WithCancelCause(req.Context())
	var answered atomic.Bool
	late := fmt.Errorf("no answer within %s", limits.FirstByte)
	watch := time.AfterFunc(connectTimeout+handshakeTimeout+limits.FirstByte, func() {
		if !answered.Load() {
			cancel(late)
		}
	})
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { watch.Reset(limits.FirstByte) },
	})
	resp, err := c.transport().RoundTrip(req.WithContext(ctx))
	answered.Store(true)
	watch.Stop()
	if err != nil {
		err = unsent(reasonOf(ctx, err))
		cancel(nil)
		return nil, err
	}
	resp.Body = newSteady(ctx, cancel, resp.Body, limits)
	return resp, nil
}

// reasonOf prefers why a request was given up to how it looked from inside.
func reasonOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
