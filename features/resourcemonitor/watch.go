package resourcemonitor

import (
	"context"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/process/usage"
)

const (
	firstLook = 10 * time.Millisecond
	interval  = 500 * time.Millisecond
	share     = 200 // the time between two looks is at least this many times what one takes
	walkPause = 30 * time.Second
	walkTime  = time.Second
	walkAtEnd = 100 * time.Millisecond
	walkShare = 20 // the time between two walks is at least this many times what one takes
)

// watch measures one command from its start to its end.
func (m *monitor) watch(ctx context.Context, command features.Watched) ([]features.Figure, error) {
	s := newSeries(command.Index)
	m.walks.root = m.run.Session.Root
	err := m.follow(ctx, s, command)
	s.end(command.Usage())
	m.walks.take(s, walkAtEnd)
	m.measured = append(m.measured, s.measurement())
	return s.measurement().rows(), err
}

// follow looks at the command until it ends, or has to be ended because memory
// is short.
func (m *monitor) follow(ctx context.Context, s *series, command features.Watched) error {
	walked := time.Now()
	short := shortage{Config: m.Config, run: m.run}
	pause := time.NewTimer(firstLook)
	defer pause.Stop()
	for {
		memory, err := usage.Machine()
		if err != nil {
			m.run.Operator.Debug("cannot measure the memory of the machine", "error", err)
		} else {
			s.machine.add(memory)
			if err := short.check(memory); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		began := time.Now()
		s.add(command.Usage())
		pause.Reset(max(interval, share*time.Since(began)))
		if began.Sub(walked) > walkPause {
			m.walks.take(s, walkTime)
			walked = time.Now()
		}
	}
}

// shortage is since when the machine has been short of memory.
type shortage struct {
	Config
	run    *task.Run
	since  time.Time // zero if it is not
	warned bool
}

// check returns why the task has to end, if it has to.
func (s *shortage) check(memory usage.Memory) error {
	if memory.Total <= 0 {
		return nil
	}
	percent := float64(memory.Used()) / float64(memory.Total) * 100
	if percent < float64(s.MaxPercent) || memory.Available > s.MinAvailable {
		s.since = time.Time{}
		return nil
	}
	if s.since.IsZero() {
		s.since = time.Now()
	}
	lasted := time.Since(s.since)
	if lasted < s.Allowed {
		return nil
	}
	const facts = "the machine has been short of memory for %v: %.1f %% of %s are in use (at most %d %% may be) and %s are available (at least %s must be)"
	values := []any{
		lasted.Round(time.Millisecond), percent, usage.Bytes(memory.Total), s.MaxPercent,
		usage.Bytes(memory.Available), usage.Bytes(s.MinAvailable),
	}
	if !s.WarnOnly {
		return task.Errorf(task.Failed, "the task was aborted because "+facts+"; use less memory, or a worker with more", values...)
	}
	if !s.warned {
		s.warned = true
		s.run.Log.Warn(facts, values...)
	}
	return nil
}
