package render

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// Child renders in a process of its own for every job, which ends with the
// job, with its deadline, or when it uses too much memory.
type Child struct {
	// Argv is the command that calls Serve: this program with the arguments
	// that make it do so.
	Argv   []string
	Limits Limits
}

const (
	exitMemory = 90 // of a child that used too much memory
	exitTime   = 91 // of one that took too long
	exitFatal  = 2  // of one that Go ended, as it does when memory or stack cannot be had
	exitSignal = -1 // of one that the kernel ended

	// startup is what a child has beyond its own deadline, to start and to
	// write its answer, before it is killed from outside.
	startup = 10 * time.Second
)

// order is what a child reads, answer what it writes.
type (
	order struct {
		Job    Job    `json:"job"`
		Limits Limits `json:"limits"`
	}
	answer struct {
		Result   json.RawMessage `json:"result,omitempty"`
		Template string          `json:"template,omitempty"` // what is wrong with the template
		Failure  string          `json:"failure,omitempty"`  // what else is wrong
	}
)

// Render returns the rendered template as JSON. It may be called concurrently.
// Errors that are the template's fault are ErrTemplate. The child gets an empty
// environment.
func (c Child) Render(ctx context.Context, job Job) (json.RawMessage, error) {
	limits := c.Limits.withDefaults()
	if err := limits.check(job); err != nil {
		return nil, err
	}
	input, err := json.Marshal(order{Job: job, Limits: limits})
	if err != nil {
		return nil, fmt.Errorf("cannot write the job of rendering: %w", err)
	}
	if len(c.Argv) == 0 {
		return nil, errors.New("cannot render templates: no command to start for it is given")
	}
	tooLate := fmt.Errorf("%w within %s: it takes too long", ErrTemplate, limits.Time)
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Time+startup, tooLate)
	defer cancel()
	// The longest answer is a result in an object; texts of errors are short.
	output := bounded{most: limits.Output + 4<<10}
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stdout = &output
	cmd.Env = []string{"GOTRACEBACK=none"}
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, c.died(err, limits, tooLate)
	}
	return output.result()
}

// died says why a child ended without an answer.
func (c Child) died(err error, limits Limits, tooLate error) error {
	ended, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return fmt.Errorf("cannot start the process that renders templates: %w", err)
	}
	switch ended.ExitCode() {
	case exitTime:
		return tooLate
	case exitMemory:
		return fmt.Errorf("%w with %d bytes of memory", ErrTemplate, limits.Memory)
	case exitFatal, exitSignal:
		return fmt.Errorf("%w: the process that renders it ended with %s, as one does that lacks memory or stack", ErrTemplate, ended.ProcessState)
	}
	return fmt.Errorf("cannot render template: the process for it ended with %s", ended.ProcessState)
}

// bounded keeps what a child writes, up to a limit.
type bounded struct {
	bytes.Buffer
	most int
}

var errTooMuch = errors.New("the answer is too long")

// Write refuses what goes beyond the limit, which ends the child's pipe.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		return 0, errTooMuch
	}
	return b.Buffer.Write(p)
}

// ReadFrom hides the one of bytes.Buffer, which has no limit.
func (b *bounded) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(writerOnly{b}, r)
}

type writerOnly struct{ io.Writer }

// result reads a child's answer.
func (b *bounded) result() (json.RawMessage, error) {
	var got answer
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		return nil, fmt.Errorf("cannot read the answer of the process that renders templates: %w", err)
	}
	switch {
	case got.Template != "":
		return nil, fmt.Errorf("%w: %s", ErrTemplate, got.Template)
	case got.Failure != "":
		return nil, errors.New(got.Failure)
	case got.Result == nil:
		return nil, errors.New("cannot render template: the process for it gave no answer")
	}
	return got.Result, nil
}
