package interactive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	shellPath = "/shell/"
	// remembered is how many ended runs are told from wrong secrets.
	remembered = 256
)

// key is the hash of a secret. Looking it up takes a time that tells nothing
// about the secrets there are.
type key [sha256.Size]byte

// server is the one listener of a worker for shells, and the rooms they are in.
type server struct {
	origin string // of the page that opens shells
	log    *slog.Logger
	timing timing
	http   *http.Server
	base   string         // URL without a path; empty if nothing listens
	serves sync.WaitGroup // the listener, and every shell

	mu    sync.Mutex
	rooms map[key]*room
	over  map[key]bool
	order []key // of over, oldest first
}

func newServer(rootURL string, log *slog.Logger) *server {
	s := &server{
		log: log, timing: timing{pings: pings, patience: patience},
		rooms: map[key]*room{}, over: map[key]bool{},
	}
	if page, err := url.Parse(rootURL); err == nil {
		s.origin = page.Scheme + "://" + page.Host
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+shellPath+"{secret}", s.serve)
	s.http = &http.Server{
		Handler:        mux,
		ReadTimeout:    10 * time.Second, // not of shells: these are connections of their own
		IdleTimeout:    time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

// start listens on the port, or on any if somebody else has that one.
func (s *server) start(ctx context.Context, config Config) {
	host, public := "", config.PublicIP
	if public == "" {
		host, public = "127.0.0.1", "127.0.0.1"
	}
	listener, err := listen(ctx, host, config.Port)
	if err != nil && config.Port != 0 {
		s.log.WarnContext(ctx, "cannot listen for shells on interactivePort; any free port is used instead", "error", err)
		listener, err = listen(ctx, host, 0)
	}
	if err != nil {
		s.log.WarnContext(ctx, "cannot listen for shells; tasks run without", "error", err)
		return
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String()) // of a TCP address
	s.base = "ws://" + net.JoinHostPort(public, port)
	s.serves.Go(func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.WarnContext(ctx, "cannot serve shells any more", "error", err)
		}
	})
}

func listen(ctx context.Context, host string, port int) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w; free the port, or set interactivePort to another or to 0 for any", err)
	}
	return listener, nil
}

// close stops to listen and waits for the farewells of shells that have ended.
func (s *server) close(ctx context.Context) error {
	err := s.http.Close()
	ended := make(chan struct{})
	go func() {
		s.serves.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return err
	case <-ctx.Done():
		return errors.Join(err, errors.New("a shell does not end"))
	}
}

// open makes a room known by its secret.
func (s *server) open(secret string, r *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms[sha256.Sum256([]byte(secret))] = r
}

// forget lets nobody in any more.
func (s *server) forget(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := key(sha256.Sum256([]byte(secret)))
	if s.rooms[key] == nil {
		return
	}
	delete(s.rooms, key)
	s.over[key] = true
	s.order = append(s.order, key)
	if len(s.order) > remembered {
		delete(s.over, s.order[0])
		s.order = s.order[1:]
	}
}

// find returns the room for a secret, or whether there was one.
func (s *server) find(secret string) (r *room, over bool) {
	key := key(sha256.Sum256([]byte(secret)))
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[key], s.over[key]
}

// welcome tells whether a request comes from the page that opens shells, or
// from no page at all. Browsers always say which.
func (s *server) welcome(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	return len(origins) == 0 || len(origins) == 1 && s.origin != "" && strings.EqualFold(origins[0], s.origin)
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	room, over := s.find(r.PathValue("secret"))
	switch {
	case over:
		http.Error(w, "The task is over", http.StatusGone)
		return
	case room == nil:
		http.Error(w, "Access denied", http.StatusUnauthorized)
		return
	case !s.welcome(r):
		http.Error(w, "This page may not open shells; only "+s.origin+" may", http.StatusForbidden)
		return
	}
	ctx, end := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer end(nil)
	seat, err := room.enter(end)
	switch {
	case errors.Is(err, errOver):
		http.Error(w, "The task is over", http.StatusGone)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer room.leave(seat, false)
	s.serves.Add(1)
	defer s.serves.Done()
	// Where the page is from was looked at above.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // the client was told
	}
	conn.SetReadLimit(mostMessage)
	shell := &session{room: room, seat: seat, conn: conn, peer: r.RemoteAddr, timing: s.timing}
	shell.serve(ctx, end)
}
