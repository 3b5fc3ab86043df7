package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// maxRedirects bounds the way from the queue to an artifact's bytes.
const maxRedirects = 10

// OpenArtifact returns the content of an artifact, decoded if it is stored
// gzipped; runID -1 means the latest run. The queue is asked with the worker's
// credentials, and where it points to without. An error artifact is an *Error
// with status 424 and its reason as Code. Reading reports an error if the
// content ends early or nothing comes for a minute; the caller closes it.
func (c *Client) OpenArtifact(ctx context.Context, taskID string, runID int, name string) (io.ReadCloser, error) {
	k := &call{name: "getArtifact", method: http.MethodGet, route: runRoute(taskID, runID) + "/artifacts/" + segment(name)}
	var content io.ReadCloser
	err := c.retry(ctx, k, func() (err error) {
		content, err = c.download(ctx, k)
		return err
	})
	if err != nil {
		return nil, err
	}
	return content, nil
}

// download follows an artifact from the queue to its first byte, once.
func (c *Client) download(ctx context.Context, k *call) (io.ReadCloser, error) {
	resp, err := c.sendSigned(ctx, k)
	if err != nil {
		return nil, err
	}
	c.clock.Learn(resp.Header, time.Now(), c.logger())
	for range maxRedirects {
		switch {
		case resp.StatusCode >= 400:
			return nil, c.refused(k, resp)
		case resp.StatusCode >= 300:
			if resp, err = c.follow(ctx, resp); err != nil {
				return nil, err
			}
			continue
		}
		return decoded(resp)
	}
	resp.Body.Close()
	return nil, fmt.Errorf("cannot download artifact: more than %d redirects", maxRedirects)
}

// follow makes the request that a redirect asks for, without credentials.
func (c *Client) follow(ctx context.Context, resp *http.Response) (*http.Response, error) {
	resp.Body.Close()
	where, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || where.String() == "" {
		return nil, &transient{err: fmt.Errorf("answer with status %d does not say where the artifact is", resp.StatusCode)}
	}
	where = resp.Request.URL.ResolveReference(where)
	if where.Scheme != "http" && where.Scheme != "https" || where.Host == "" {
		return nil, fmt.Errorf("cannot download artifact: it is at a %q address, only http and https are followed", where.Scheme)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return nil, errors.New("cannot download artifact: its address is not valid") // and may carry a signature
	}
	req.Header.Set("User-Agent", "generic-worker")
	req.Header.Set("Accept-Encoding", "gzip")
	return c.send(req, c.Limits.withDefaults().FirstByte)
}

// decoded returns the body of an answer as it was before encoding.
func decoded(resp *http.Response) (io.ReadCloser, error) {
	switch encoding := strings.ToLower(resp.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		return resp.Body, nil
	case "gzip", "x-gzip":
		plain, err := gzip.NewReader(resp.Body)
		if err != nil {
			resp.Body.Close()
			return nil, &transient{err: fmt.Errorf("cannot decode artifact: %w", err)}
		}
		return &decodedBody{Reader: plain, body: resp.Body}, nil
	default:
		resp.Body.Close()
		return nil, fmt.Errorf("cannot decode artifact: it is stored with encoding %q, only gzip and identity are known", encoding)
	}
}

type decodedBody struct {
	*gzip.Reader
	body io.ReadCloser
}

func (b *decodedBody) Close() error {
	return errors.Join(b.Reader.Close(), b.body.Close())
}
