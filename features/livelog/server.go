package livelog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// retry is the time between two attempts to listen.
const retry = 30 * time.Second

// server is the one listener of a worker for live logs.
type server struct {
	config Config
	log    *slog.Logger
	http   *http.Server
	retry  time.Duration

	ready chan struct{} // closed when base is set
	base  string        // URL without a path
	once  sync.Once     // to set them

	stop context.CancelFunc
	done chan struct{} // nil unless started
}

func newServer(config Config, handler http.Handler, log *slog.Logger) *server {
	return &server{
		config: config,
		log:    log,
		retry:  retry,
		ready:  make(chan struct{}),
		http: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    16 << 10,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}
}

func (s *server) start(ctx context.Context) {
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.done = make(chan struct{})
	listener, err := s.listen(ctx)
	go func() {
		defer close(s.done)
		for {
			if err == nil {
				err = s.http.Serve(listener)
			}
			if errors.Is(err, http.ErrServerClosed) {
				return
			}
			s.log.WarnContext(ctx, "cannot serve live logs; tasks run without until it works", "error", err, "retry", s.retry)
			select {
			case <-time.After(s.retry):
			case <-ctx.Done():
				return
			}
			listener, err = s.listen(ctx)
		}
	}()
}

// listen opens the listener. A later one has the port of the first, which the
// URLs of running tasks contain.
func (s *server) listen(ctx context.Context) (net.Listener, error) {
	host, public := "", s.config.PublicIP
	if public == "" {
		host, public = "127.0.0.1", "127.0.0.1"
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(s.config.ExposePort)))
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w; free the port or set livelogExposePort to another", err)
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return nil, errors.Join(fmt.Errorf("cannot listen: %v is no TCP address", listener.Addr()), listener.Close())
	}
	s.once.Do(func() {
		s.config.ExposePort = address.Port
		s.base = "http://" + net.JoinHostPort(public, strconv.Itoa(address.Port))
		close(s.ready)
	})
	return listener, nil
}

func (s *server) close(ctx context.Context) error {
	if s.done == nil {
		return nil
	}
	s.stop()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("readers of live logs were cut off: %w", err), s.http.Close())
	}
	<-s.done
	return err
}
