package interactive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/taskcluster/generic-worker/process"
	"github.com/taskcluster/generic-worker/process/terminal"
)

const (
	// grace is how long a shell that was hung up on may take to end.
	grace = 2 * time.Second
	// pingPause is the time between two questions whether the client is there.
	pingPause = 30 * time.Second
	// patience is how long a client may take to answer, or to take anything.
	patience = time.Minute
	// farewell bounds the last words to a client.
	farewell = 2 * time.Second
	// piece is the largest part of the output that is sent at once.
	piece = 16 << 10
	// reasonMax bounds the reason in a websocket's closing message.
	reasonMax = 120
)

// timing can be changed by tests.
type timing struct {
	pings    func() (when <-chan time.Time, stop func())
	patience time.Duration
}

func pings() (when <-chan time.Time, stop func()) {
	ticker := time.NewTicker(pingPause)
	return ticker.C, ticker.Stop
}

// Why a shell ends before its program does.
var (
	errLeft   = errors.New("the client left")
	errSilent = errors.New("the client does not answer")
)

// session is one shell and the client that uses it.
type session struct {
	room   *room
	seat   int
	conn   *websocket.Conn
	peer   string
	timing timing
	stuck  atomic.Bool // the shell does not read what was typed
}

// serve runs a shell until it or ctx ends, and tells the client why.
func (s *session) serve(ctx context.Context, end context.CancelCauseFunc) {
	defer s.conn.CloseNow()
	log, began := s.room.run.Log, time.Now()
	log.Info("[interactive] shell opened by %s", s.peer)
	s.room.run.Operator.InfoContext(ctx, "shell opened", "peer", s.peer)
	result, err := s.run(ctx, end)
	why, code := verdict(result, err)
	elapsed := time.Since(began).Round(time.Millisecond)
	if len(result.Killed) > 0 {
		log.Info("[interactive] processes of the shell opened by %s were still running and were killed: %s", s.peer, strings.Join(result.Killed, ", "))
	}
	log.Info("[interactive] shell opened by %s closed after %v: %s", s.peer, elapsed, why)
	s.room.run.Operator.InfoContext(ctx, "shell closed", "peer", s.peer, "elapsed", elapsed, "reason", why)
	s.room.leave(s.seat, err == nil)
	s.bye(context.WithoutCancel(ctx), code, why)
}

// verdict says in words how a shell ended.
func verdict(result process.Result, err error) (why string, code websocket.StatusCode) {
	if err == nil {
		return fmt.Sprintf("the shell exited with %d", result.ExitCode), websocket.StatusNormalClosure
	}
	if _, broken := errors.AsType[*process.StartError](err); broken {
		return err.Error(), websocket.StatusInternalError
	}
	return err.Error(), websocket.StatusGoingAway
}

// bye shows the last line, unless the client saw the shell exit, and ends the
// connection.
func (s *session) bye(ctx context.Context, code websocket.StatusCode, why string) {
	if code != websocket.StatusNormalClosure {
		ctx, cancel := context.WithTimeout(ctx, farewell)
		defer cancel()
		line := "\r\n[generic-worker] this shell ends: " + why + "\r\n"
		if s.conn.Write(ctx, websocket.MessageBinary, []byte(line)) != nil {
			return
		}
	}
	_ = s.conn.Close(code, strings.ToValidUTF8(why[:min(len(why), reasonMax)], ""))
}

// run runs a shell with a terminal. Nothing of it is alive when it returns.
func (s *session) run(ctx context.Context, end context.CancelCauseFunc) (process.Result, error) {
	term, err := terminal.Open(terminal.Size{Rows: 24, Cols: 80})
	if err != nil {
		return process.Result{}, err
	}
	defer term.Close()
	defer context.AfterFunc(ctx, term.HangUp)()
	// The connection is to outlive ctx, for the last line.
	beside := context.WithoutCancel(ctx)
	go s.contain(end, func() error { return s.listen(beside, term) })
	watching, unwatch := context.WithCancel(beside)
	defer unwatch()
	go s.contain(end, func() error { return s.watch(watching) })
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		s.contain(end, func() error { return s.show(beside, term) })
	}()
	result, err := s.program(ctx, term)
	if ctx.Err() != nil {
		err = context.Cause(ctx) // it may have ended by being hung up on
	}
	term.Release()
	select {
	case <-shown:
	case <-ctx.Done():
	case <-time.After(farewell):
	}
	return result, err
}

// contain runs a part of the session, whose error or panic ends it.
func (s *session) contain(end context.CancelCauseFunc, f func() error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.room.run.Operator.Error("panic in a shell", "panic", cause)
			end(errors.New("internal error in the worker"))
		}
	}()
	if err := f(); err != nil {
		end(err)
	}
}

// program runs the first shell that this machine has.
func (s *session) program(ctx context.Context, term *terminal.Terminal) (process.Result, error) {
	run := s.room.run
	env := run.Environment()
	env["TERM"] = "xterm-256color" // the worker's own is about another terminal
	var result process.Result
	var err error
	for _, argv := range shells() {
		command := run.Session.Beside(argv, env)
		command.Terminal, command.Grace = term, grace
		result, err = command.Run(ctx)
		if missing, ok := errors.AsType[*process.StartError](err); !ok || missing.ExitCode < 0 {
			break
		}
	}
	return result, err
}

// listen passes on what the client types, until it leaves.
func (s *session) listen(ctx context.Context, term *terminal.Terminal) error {
	for {
		_, message, err := s.conn.Read(ctx)
		if err != nil {
			return errLeft
		}
		frame := parseFrame(message)
		if frame.size != nil {
			_ = term.Resize(*frame.size) // it is closed, which others notice
		}
		s.stuck.Store(true)
		_, err = term.Write(typed(frame.input))
		s.stuck.Store(false)
		if err != nil {
			return nil // it is closed
		}
	}
}

// show sends what the terminal shows, until its end.
func (s *session) show(ctx context.Context, term *terminal.Terminal) error {
	buffer := make([]byte, piece)
	for {
		n, err := term.Read(buffer)
		if n > 0 && s.send(ctx, buffer[:n]) != nil {
			return errLeft
		}
		if err != nil {
			return nil
		}
	}
}

func (s *session) send(ctx context.Context, p []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.timing.patience)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageBinary, p)
}

// watch asks now and then whether the client is there. One whose answer nobody
// reads, because the shell does not read what was typed, is believed.
func (s *session) watch(ctx context.Context) error {
	when, stop := s.timing.pings()
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-when:
		}
		asking, cancel := context.WithTimeout(ctx, s.timing.patience)
		err := s.conn.Ping(asking)
		cancel()
		switch {
		case err == nil, ctx.Err() != nil:
		case errors.Is(err, context.DeadlineExceeded) && s.stuck.Load():
		default:
			return errSilent
		}
	}
}
