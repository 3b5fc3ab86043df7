package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	busyTries = 3                     // for a program that is still being written
	busyPause = 50 * time.Millisecond // between them
)

// start starts the command, writing to pipe. Its error is a *StartError, or
// the cause if ctx ended meanwhile.
func (c *Command) start(ctx context.Context, pipe *os.File, lim limits) (*tree, error) {
	path, err := c.find()
	if err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, c.machineFault(err)
	}
	defer null.Close()
	for try := 0; ; try++ {
		t, err := c.spawn(path, []*os.File{null, pipe, pipe}, lim)
		if err == nil {
			return t, nil
		}
		if !isBusy(err) || try == busyTries {
			return nil, c.explain(path, err)
		}
		// Whoever wrote the program may have forked while it was open, and
		// the child not yet called exec: https://go.dev/issue/22315
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(busyPause):
		}
	}
}

// find checks what can be checked beforehand and returns the program's path.
func (c *Command) find() (string, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return "", c.authorFault(127, errors.New("the command is empty; name a program"))
	}
	hasNUL := func(s string) bool { return strings.ContainsRune(s, 0) }
	if slices.ContainsFunc(c.Argv, hasNUL) || slices.ContainsFunc(c.Env, hasNUL) || hasNUL(c.Marker) {
		return "", c.authorFault(126, errors.New("an argument or environment variable contains a NUL character; remove it"))
	}
	return c.lookUp(c.Argv[0])
}

func (c *Command) program() string {
	if len(c.Argv) == 0 {
		return ""
	}
	return c.Argv[0]
}

func (c *Command) authorFault(code int, err error) *StartError {
	return &StartError{Program: c.program(), ExitCode: code, Err: err}
}

func (c *Command) machineFault(err error) *StartError {
	return &StartError{Program: c.program(), ExitCode: -1, Err: err}
}

// environment is what the command gets.
func (c *Command) environment() []string {
	if c.Marker == "" {
		return append([]string{}, c.Env...) // not nil, which would be the worker's
	}
	return append(c.Env[:len(c.Env):len(c.Env)], c.Marker)
}

// variable returns the last value of name in Env, which is the one programs see.
func (c *Command) variable(same func(name string) bool) (string, bool) {
	for _, pair := range slices.Backward(c.Env) {
		if name, value, ok := strings.Cut(pair, "="); ok && same(name) {
			return value, true
		}
	}
	return "", false
}

// missing reports a working directory that is not there: the system's answer
// does not tell it from a missing program.
func (c *Command) missing() error {
	info, err := os.Stat(c.Dir)
	if err == nil && !info.IsDir() {
		err = errors.New("it is not a directory")
	}
	if c.Dir == "" || err == nil {
		return nil
	}
	return fmt.Errorf("cannot enter its working directory %s: %w", c.Dir, err)
}
