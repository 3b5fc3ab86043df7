package shell

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/term"
)

// raw hands every key to the shell, and control sequences to the console,
// until restore.
func raw(in *os.File, out io.Writer) (restore func(), err error) {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	restore = func() { _ = term.Restore(int(in.Fd()), before) }
	file, ok := out.(*os.File)
	if !ok {
		return restore, nil
	}
	var mode uint32
	console := windows.Handle(file.Fd())
	if windows.GetConsoleMode(console, &mode) != nil {
		return restore, nil // it is no console
	}
	_ = windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING|windows.DISABLE_NEWLINE_AUTO_RETURN)
	return func() {
		_ = windows.SetConsoleMode(console, mode)
		_ = term.Restore(int(in.Fd()), before)
	}, nil
}

// sizeChanges tells when the window may have another size: now and then, as
// the console tells of a change only in place of the keys that are typed.
func sizeChanges() (changes <-chan time.Time, stop func()) {
	const pause = 500 * time.Millisecond
	ticker := time.NewTicker(pause)
	return ticker.C, ticker.Stop
}
