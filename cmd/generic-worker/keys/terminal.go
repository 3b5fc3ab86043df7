package keys

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/term"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
)

// hidden reads one line from a terminal that does not show it. An interrupt
// leaves the terminal as it was.
func hidden(ctx context.Context, terminal *os.File) ([]byte, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case got := <-read:
		return got.text, got.err
	case <-ctx.Done():
		if err := term.Restore(fd, before); err != nil {
			return nil, err
		}
		return nil, exit.Errorf(exit.Interrupted, "interrupted")
	}
}
