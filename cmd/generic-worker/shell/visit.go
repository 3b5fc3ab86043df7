package shell

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/term"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
)

const (
	// dialLimit bounds the wait for a worker that does not answer.
	dialLimit = 15 * time.Second
	// sendLimit bounds the wait for a worker that takes nothing.
	sendLimit = time.Minute
	// mostMessage bounds a message of the worker.
	mostMessage = 1 << 20
	// piece is how much of the input is sent at once.
	piece = 4 << 10

	frameInput = 1
	frameSize  = 2
)

// errDetached is that the person left.
var errDetached = errors.New("left")

// streams are what the shell is shown on.
type streams struct {
	in  io.Reader
	out io.Writer
}

// visit opens the shell and returns when it has ended, or was left.
func visit(ctx context.Context, socket string, s streams) error {
	conn, err := dial(ctx, socket)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	conn.SetReadLimit(mostMessage)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	input, person := s.in.(*os.File)
	person = person && term.IsTerminal(int(input.Fd()))
	if person {
		restore, err := raw(input, s.out)
		if err != nil {
			return exit.Errorf(exit.Usage, "cannot set up the terminal: %w", err)
		}
		defer restore()
		go sendSizes(ctx, conn, input, s.out)
	}
	go func() {
		if err := sendInput(ctx, conn, s.in, person); err != nil {
			end(err)
		}
	}()
	err = show(ctx, conn, s.out)
	if errors.Is(context.Cause(ctx), errDetached) {
		return nil
	}
	return err
}

// dial connects. Errors do not repeat the address, which is a secret.
func dial(ctx context.Context, socket string) (*websocket.Conn, error) {
	dialing, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	conn, resp, err := websocket.Dial(dialing, socket, nil)
	if err == nil {
		return conn, nil
	}
	if ctx.Err() != nil {
		return nil, context.Canceled
	}
	if resp != nil {
		switch text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)); resp.StatusCode {
		case http.StatusUnauthorized, http.StatusGone:
			return nil, none("the worker says that the run is over")
		default:
			return nil, none("the worker answers with status %d: %q", resp.StatusCode, strings.TrimSpace(string(text)))
		}
	}
	if broken, ok := errors.AsType[*url.Error](err); ok {
		err = broken.Err
	}
	host := "its worker"
	if address, parsed := url.Parse(socket); parsed == nil {
		host = address.Host
	}
	return nil, exit.Errorf(exit.Unavailable, "cannot reach the shell at %s: %w; does its worker run, with a publicIP that can be reached from here?", host, err)
}

// show writes what the shell shows, until it ends.
func show(ctx context.Context, conn *websocket.Conn, out io.Writer) error {
	for {
		_, message, err := conn.Read(ctx)
		switch {
		case err == nil:
		case websocket.CloseStatus(err) == websocket.StatusNormalClosure, websocket.CloseStatus(err) == websocket.StatusGoingAway:
			return nil // the last line has said why
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			return exit.Errorf(exit.Unavailable, "the connection to the shell broke off")
		}
		if _, err := out.Write(message); err != nil {
			return exit.Errorf(exit.Unavailable, "cannot show the shell: %w", err)
		}
	}
}

// sendInput sends what is typed. Input that is no terminal ends, and then the
// shell is told to exit: what a terminal would send, Ctrl-D, is lost on a shell
// that just starts.
func sendInput(ctx context.Context, conn *websocket.Conn, in io.Reader, person bool) error {
	buffer := make([]byte, piece)
	keys := escape{off: !person, lineStart: true}
	last := byte('\n')
	for {
		n, err := in.Read(buffer)
		typed, leave := keys.filter(buffer[:n])
		if len(typed) > 0 {
			last = typed[len(typed)-1]
			if err := send(ctx, conn, frameInput, typed); err != nil {
				return nil // show tells why
			}
		}
		switch {
		case leave:
			return errDetached
		case err == nil:
		case person:
			return errDetached // the terminal is gone
		default:
			farewell := "exit\n"
			if last != '\n' {
				farewell = "\n" + farewell
			}
			_ = send(ctx, conn, frameInput, []byte(farewell))
			return nil
		}
	}
}

func send(ctx context.Context, conn *websocket.Conn, kind byte, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	return conn.Write(ctx, websocket.MessageBinary, append([]byte{kind}, body...))
}

// sendSizes sends the size of the window, now and whenever it changes.
func sendSizes(ctx context.Context, conn *websocket.Conn, in *os.File, out io.Writer) {
	changes, stop := sizeChanges()
	defer stop()
	window := in
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		window = file
	}
	var sent [2]int
	for {
		cols, rows, err := term.GetSize(int(window.Fd()))
		if now := [2]int{rows, cols}; err == nil && now != sent {
			sent = now
			body := binary.LittleEndian.AppendUint16(nil, uint16(min(rows, math.MaxUint16)))
			body = binary.LittleEndian.AppendUint16(body, uint16(min(cols, math.MaxUint16)))
			_ = send(ctx, conn, frameSize, body) // show tells if it is broken
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return
		}
	}
}

// escape finds ~. at the beginning of a line, by which a person leaves.
type escape struct {
	off       bool
	lineStart bool
	tilde     bool // was typed at the beginning of a line and is held back
}

// filter returns what to send of what was typed, and whether to leave.
func (e *escape) filter(typed []byte) (send []byte, leave bool) {
	if e.off {
		return typed, false
	}
	for _, c := range typed {
		switch {
		case e.tilde && c == '.':
			return send, true
		case e.tilde:
			e.tilde = false
			if c != '~' { // twice is one
				send = append(send, '~')
			}
		case e.lineStart && c == '~':
			e.tilde, e.lineStart = true, false
			continue
		}
		send = append(send, c)
		e.lineStart = c == '\r' || c == '\n'
	}
	return send, false
}
