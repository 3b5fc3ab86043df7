//go:build unix

package shell

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// raw hands every key to the shell, until restore.
func raw(in *os.File, _ io.Writer) (restore func(), err error) {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(int(in.Fd()), before) }, nil
}

// sizeChanges tells when the window may have another size.
func sizeChanges() (changes <-chan os.Signal, stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH)
	return signals, func() { signal.Stop(signals) }
}
