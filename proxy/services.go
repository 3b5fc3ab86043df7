package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"
)

const (
	answerLimit = time.Minute
	idleLimit   = time.Minute
	mostIdle    = 32
	mostHead    = 256 << 10
	mostInterim = 5 // answers 1xx before the answer
	lineBuffer  = 4 << 10
)

// Services makes requests to the services of one root URL, like a transport of
// NewTransport. GET and HEAD without a body, which are most of all requests and
// can be repeated, are made in the caller's goroutine: handing them to those of
// an http.Transport and back takes as long as all the rest.
type Services struct {
	transport *http.Transport
	direct    bool // the host is reached without another proxy

	mu     sync.Mutex
	idle   []*line // the one used last is the last
	closed bool
}

// NewServices returns what reaches the root URL. Whoever made it closes its
// idle connections in the end.
func NewServices(rootURL string) *Services {
	s := &Services{transport: NewTransport(false)}
	if u, err := url.Parse(rootURL); err == nil {
		by, err := http.ProxyFromEnvironment(&http.Request{URL: u})
		s.direct = by == nil && err == nil && tellsQuiet
	}
	return s
}

// RoundTrip makes a request.
func (s *Services) RoundTrip(request *http.Request) (*http.Response, error) {
	quick := request.Method == http.MethodGet || request.Method == http.MethodHead
	if !s.direct || !quick || request.Body != nil {
		return s.transport.RoundTrip(request)
	}
	if l := s.take(); l != nil {
		answer, err := s.exchange(request, l)
		if err == nil || request.Context().Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return answer, err
		}
		s.dropIdle() // the host has closed them, or this one
	}
	l, err := s.connect(request.Context(), request.URL)
	if err != nil {
		return nil, err
	}
	return s.exchange(request, l)
}

// CloseIdleConnections closes those that no request uses, now and from now on.
func (s *Services) CloseIdleConnections() {
	s.transport.CloseIdleConnections()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.dropIdle()
}

// exchange uses the line for one request.
func (s *Services) exchange(request *http.Request, l *line) (*http.Response, error) {
	stop := context.AfterFunc(request.Context(), func() { _ = l.SetDeadline(time.Unix(1, 0)) })
	answer, err := l.ask(request)
	if err != nil {
		stop()
		_ = l.Close()
		return nil, fmt.Errorf("cannot ask %s: %w", request.URL.Host, err)
	}
	keep := !answer.Close
	answer.Body = &lineBody{ReadCloser: answer.Body, done: func(whole bool) {
		if stop() && whole && keep {
			s.put(l)
			return
		}
		_ = l.Close()
	}}
	return answer, nil
}

func (s *Services) connect(ctx context.Context, to *url.URL) (*line, error) {
	c, err := s.transport.DialContext(ctx, "tcp", net.JoinHostPort(to.Hostname(), portOf(to)))
	if err != nil {
		return nil, err
	}
	raw := c
	if to.Scheme == "https" {
		config := s.transport.TLSClientConfig.Clone()
		config.ServerName, config.NextProtos = to.Hostname(), []string{"http/1.1"}
		secure := tls.Client(c, config)
		ctx, cancel := context.WithTimeout(ctx, s.transport.TLSHandshakeTimeout)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = c.Close()
			return nil, err
		}
		c = secure
	}
	l := &line{Conn: c, raw: raw}
	l.in, l.out = bufio.NewReaderSize(l, lineBuffer), bufio.NewWriterSize(c, lineBuffer)
	return l, nil
}

// take returns an idle line, the warmest, or nil. What the host said meanwhile,
// such as 408 to a connection that was idle for too long, would be taken for
// the answer to the next request.
func (s *Services) take() *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := len(s.idle); n > 0; n = len(s.idle) {
		l := s.idle[n-1]
		s.idle = s.idle[:n-1]
		if time.Since(l.since) < idleLimit && quiet(l.raw) {
			return l
		}
		_ = l.Close()
	}
	return nil
}

// put keeps a line for the next request. What came after the answer was not
// asked for, so such a line is not used again.
func (s *Services) put(l *line) {
	l.since = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.idle) >= mostIdle || l.in.Buffered() > 0 {
		_ = l.Close()
		return
	}
	s.idle = append(s.idle, l)
}

func (s *Services) dropIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.idle {
		_ = l.Close()
	}
	s.idle = nil
}

// line is a connection to the host, for one request after the other.
type line struct {
	net.Conn
	raw   net.Conn // below TLS
	in    *bufio.Reader
	out   *bufio.Writer
	left  int64 // bytes that may still be read
	since time.Time
}

var errLongHead = errors.New("the head of the answer is too long")

// Read reads no more than the head of an answer may have, until that was read.
func (l *line) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLongHead
	}
	n, err := l.Conn.Read(p)
	l.left -= int64(n)
	return n, err
}

// ask sends the request and reads the head of the answer.
func (l *line) ask(request *http.Request) (*http.Response, error) {
	l.left = mostHead
	// A deadline that is set and taken back would undo that of a request which
	// was given up meanwhile.
	timer := time.AfterFunc(answerLimit, func() { _ = l.SetDeadline(time.Unix(1, 0)) })
	defer timer.Stop()
	if err := errors.Join(request.Write(l.out), l.out.Flush()); err != nil {
		return nil, err
	}
	for range mostInterim {
		answer, err := http.ReadResponse(l.in, request)
		switch {
		case err != nil:
			return nil, err
		case answer.StatusCode >= http.StatusOK:
			l.left = math.MaxInt64
			return answer, nil
		case answer.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("it switches to another protocol, which nobody asked for")
		}
	}
	return nil, errors.New("it sends interim answers only")
}

// lineBody gives the line back when it was read to its end.
type lineBody struct {
	io.ReadCloser
	once sync.Once
	done func(whole bool)
}

func (b *lineBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.once.Do(func() { b.done(err == io.EOF) })
	}
	return n, err
}

// Close closes the line unless the body was read to its end.
func (b *lineBody) Close() error {
	b.once.Do(func() { b.done(false) })
	return nil
}
