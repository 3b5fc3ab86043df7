package chain

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/internal/terminal"
)

// progress is a line on a person's terminal about what was fetched so far.
type progress struct {
	out io.Writer // nil: nobody is looking

	mu        sync.Mutex
	tasks     int
	artifacts int
	bytes     int64
	shown     time.Time
}

// often is how often the line changes.
const often = 100 * time.Millisecond

// watch shows progress if out is a terminal.
func watch(out io.Writer) *progress {
	if !terminal.Is(out) {
		out = nil
	}
	return &progress{out: out}
}

// source returns what says the same as from and is watched.
func (p *progress) source(from chain.Source) chain.Source {
	if p.out == nil {
		return from
	}
	return watched{from, p}
}

// add counts and shows.
func (p *progress) add(tasks, artifacts int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tasks, p.artifacts, p.bytes = p.tasks+tasks, p.artifacts+artifacts, p.bytes+bytes
	if now := time.Now(); now.Sub(p.shown) >= often {
		p.shown = now
		fmt.Fprintf(p.out, "\r\x1b[K%d tasks, %d artifacts, %.1f MiB", p.tasks, p.artifacts, float64(p.bytes)/(1<<20))
	}
}

// end removes the line.
func (p *progress) end() {
	if p.out != nil {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// watched is a source whose answers are counted.
type watched struct {
	chain.Source
	progress *progress
}

// Task returns the definition and the runs of a task.
func (w watched) Task(ctx context.Context, taskID string) (*chain.Task, error) {
	task, err := w.Source.Task(ctx, taskID)
	w.progress.add(1, 0, 0)
	return task, err
}

// Artifact returns the bytes of an artifact of one run.
func (w watched) Artifact(ctx context.Context, taskID string, runID int, name string) (io.ReadCloser, error) {
	content, err := w.Source.Artifact(ctx, taskID, runID, name)
	if err != nil {
		return nil, err
	}
	w.progress.add(0, 1, 0)
	return watchedContent{content, w.progress}, nil
}

type watchedContent struct {
	io.ReadCloser
	progress *progress
}

// Read counts what is read.
func (w watchedContent) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.progress.add(0, 0, int64(n))
	return n, err
}
