package terminal

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Terminal is both ends of a terminal. Methods may be called concurrently.
type Terminal struct {
	typed *os.File // to the console
	shown *os.File // from it

	mu      sync.Mutex
	console windows.Handle // 0 once it is released
}

// Open makes a terminal with a window of the given size.
func Open(size Size) (*Terminal, error) {
	if err := windows.NewLazySystemDLL("kernel32.dll").NewProc("CreatePseudoConsole").Find(); err != nil {
		return nil, fmt.Errorf("cannot open a pseudo console, which needs Windows 10 1809 or Server 2019: %w", errors.ErrUnsupported)
	}
	in, typed, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot open a pseudo console: %w", err)
	}
	shown, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open a pseudo console: %w", err), in.Close(), typed.Close())
	}
	t := &Terminal{typed: typed, shown: shown}
	err = windows.CreatePseudoConsole(coordinates(size), windows.Handle(in.Fd()), windows.Handle(out.Fd()), 0, &t.console)
	_ = in.Close() // the console has its own copies
	_ = out.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open a pseudo console: %w", err), typed.Close(), shown.Close())
	}
	return t, nil
}

func coordinates(size Size) windows.Coord {
	return windows.Coord{X: int16(min(size.Cols, math.MaxInt16)), Y: int16(min(size.Rows, math.MaxInt16))}
}

// Give makes the terminal that of the program to be started with these
// attributes.
func (t *Terminal) Give(attributes *windows.ProcThreadAttributeListContainer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.console == 0 {
		return fmt.Errorf("cannot give away the terminal: %w", os.ErrClosed)
	}
	// The handle itself is the value, where others are pointed to.
	return attributes.Update(windows.PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE, *(*unsafe.Pointer)(unsafe.Pointer(&t.console)), unsafe.Sizeof(t.console))
}

// Read returns what the program wrote; io.EOF after Release, when all of it
// was read and no program has the terminal any more, or after HangUp.
func (t *Terminal) Read(p []byte) (int, error) {
	n, err := t.shown.Read(p)
	if errors.Is(err, os.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

// Write types. It waits while the program reads nothing of what was typed
// before; HangUp ends that.
func (t *Terminal) Write(p []byte) (int, error) { return t.typed.Write(p) }

// Resize changes the size of the window and tells the program.
func (t *Terminal) Resize(size Size) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.console == 0 {
		return fmt.Errorf("cannot resize the terminal: %w", os.ErrClosed)
	}
	if err := windows.ResizePseudoConsole(t.console, coordinates(size)); err != nil {
		return fmt.Errorf("cannot resize the terminal: %w", err)
	}
	return nil
}

// HangUp tells the program that nobody uses the terminal any more, by closing
// its console. It may be called at any time, and again.
func (t *Terminal) HangUp() {
	t.Release()
	_ = t.typed.Close() // what was shown ends with the console
}

// Release is called when the program has ended, or was not started. It may be
// called again.
func (t *Terminal) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.console != 0 {
		// Older systems wait here until all that was written has been read.
		go windows.ClosePseudoConsole(t.console)
	}
	t.console = 0
}

// Close releases the terminal and hangs up. It may be called again.
func (t *Terminal) Close() error {
	t.Release()
	if err := t.typed.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("cannot close the terminal: %w", err)
	}
	if err := t.shown.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("cannot close the terminal: %w", err)
	}
	return nil
}
