package taskclusterproxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

const (
	readHeaderLimit = 10 * time.Second
	idleLimit       = time.Minute
	mostHeader      = 64 << 10
	// endLimit is how long a finished task waits for requests that were cut
	// off to notice.
	endLimit = time.Second
)

// server is the listener of one task's proxy, and its connections.
type server struct {
	http    *http.Server
	handler http.Handler
	judge   func(near, far netip.AddrPort) error
	slots   chan struct{} // full when there are enough connections
	atEnd   func()        // after the last request

	hosts   map[string]bool // what Host may be
	cut     context.CancelFunc
	mu      sync.Mutex
	closed  bool
	serving sync.WaitGroup // listeners and requests; none begins once it is closed
}

func newServer(handler http.Handler, judge func(near, far netip.AddrPort) error, log *slog.Logger) *server {
	s := &server{handler: handler, judge: judge, slots: make(chan struct{}, mostConnections)}
	ctx, cut := context.WithCancel(context.Background())
	s.cut = cut
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: readHeaderLimit,
		IdleTimeout:       idleLimit,
		MaxHeaderBytes:    mostHeader,
		// The server would answer OPTIONS * itself, whoever asks.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

// open begins to serve at the first of the ports that is free, and returns the
// proxy's URL.
func (s *server) open(ctx context.Context, ports []int) (string, error) {
	listeners, port, err := listen(ctx, ports)
	if err != nil {
		return "", err
	}
	s.hosts = hostsOf(port)
	for _, l := range listeners {
		gate := newGate(l, s.judge, s.slots)
		s.serving.Go(func() { _ = s.http.Serve(gate) }) // it ends with the task
	}
	return "http://localhost:" + strconv.Itoa(port), nil
}

// begin tells whether a request may still be served; if so, end follows.
func (s *server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.serving.Add(1)
	}
	return !s.closed
}

// close ends it: no request is served after it returns. Closing twice is
// allowed.
func (s *server) close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	s.cut()
	err := s.http.Close()
	ended := make(chan struct{})
	go func() {
		s.serving.Wait()
		s.atEnd()
		close(ended)
	}()
	select {
	case <-ended:
		return err
	case <-time.After(endLimit):
		return errors.Join(err, errors.New("a request does not end"))
	}
}
