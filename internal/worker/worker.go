package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/worker/journal"
	"github.com/taskcluster/generic-worker/internal/worker/pace"
	"github.com/taskcluster/generic-worker/platform"
)

// Queue is what a worker needs of a queue. All methods are called concurrently.
type Queue interface {
	// Claim takes up to n pending runs, waiting for the first as long as the
	// queue's long poll lasts; none is no error. Its context is never canceled
	// while the request is under way: an answer nobody reads is a lost run.
	Claim(ctx context.Context, worker queue.Worker, n int) ([]queue.Claim, error)
	// Reclaim extends a claim. queue.ErrConflict and queue.ErrNotFound mean
	// that the run is no longer ours.
	Reclaim(ctx context.Context, claim queue.Claim) (queue.Claim, error)
	// Resolve reports how a run ended; it is called once per run and retries
	// within ctx.
	Resolve(ctx context.Context, claim queue.Claim, outcome queue.Outcome) error
	// Running tells whether the queue still wants the run: false once it was
	// canceled, passed its deadline or was given to somebody else.
	Running(ctx context.Context, claim queue.Claim) (bool, error)
	// Expand returns scopes with all that the roles among them stand for.
	Expand(ctx context.Context, scopes []string) ([]string, error)
}

// Engine makes the place a task runs in.
type Engine interface {
	// Open makes a fresh session of the given name; called concurrently for
	// different names, before the first command of a run.
	Open(ctx context.Context, name string) (*platform.Session, error)
}

// Observer hears what a worker does. A nil function is skipped; the others are
// called concurrently.
type Observer struct {
	// Asked is called after each claim with the number of runs it got, or why
	// it got none. It returns at once.
	Asked func(got int, err error)
	// Started is called once for each run of Ended, before its first stage,
	// from the goroutine of that run.
	Started func(task.Start)
	// Ended is called once for each run after its report, from the goroutine of
	// that run.
	Ended func(task.Summary)
}

// Worker claims runs and takes each to its resolution. All fields are set
// before Run and not changed after.
type Worker struct {
	Config   Config
	Queue    Queue
	Engine   Engine
	Features []features.Feature // in the order of their stages
	Runs     task.Opener
	Log      *slog.Logger
	Observer Observer
	// Room, if set, is called before each claim and makes room on the disks. An error, which
	// says what is short, means that nothing is claimed now.
	Room func(context.Context) error

	journal *journal.Journal
}

// Stop is why a worker stopped.
type Stop int

// Reasons to stop.
const (
	TasksDone Stop = iota // Config.TasksToRun were run
	Idle                  // nothing to do for Config.IdleTimeout
	Drained               // told to take no more tasks; those running were finished
	Aborted               // told to stop; those running were resolved as worker-shutdown
	Unfit                 // tasks cannot be run here, or the queue refuses this worker
)

// Run claims and runs tasks until there is a reason to stop, and returns it
// when the last run is resolved and cleaned up. When drain is done, nothing
// more is claimed; when ctx is done, its cause resolves the running tasks.
func (w *Worker) Run(ctx, drain context.Context) (Stop, error) {
	notes, err := journal.Open(w.Config.StateDir)
	if err != nil {
		return Unfit, err
	}
	defer notes.Close()
	if err := w.Runs.Start(); err != nil {
		return Unfit, err
	}
	w.journal = notes
	w.settle(ctx)
	s := &shift{worker: w, ended: make(chan task.Resolution, w.Config.Capacity), idleSince: time.Now()}
	stop, err := s.claimLoop(ctx, drain)
	s.wait()
	return stop, err
}

const (
	// tooManyMisfits is how many runs in a row that could not be run for reasons
	// of this machine end the worker.
	tooManyMisfits = 5
	// refusalLimit is how long the queue may refuse the worker's credentials
	// before the worker gives up.
	refusalLimit = 4 * time.Minute
	// shortLimit is how long a worker without a task waits for room on its disks.
	shortLimit = 15 * time.Minute
)

var errMisfit = errors.New("the last runs all ended in internal errors; mend this machine or replace it, then start the worker again")

// shift is the state of one Run.
type shift struct {
	worker    *Worker
	ended     chan task.Resolution
	tasks     sync.WaitGroup
	running   int
	idleSince time.Time
	pace      pace.Pace
	misfits   int // runs in a row that this machine could not run
	space     pace.Space
}

// claimLoop claims as many runs as there are free slots. A slot is free again
// as soon as its run is resolved and its session is out of the way.
func (s *shift) claimLoop(ctx, drain context.Context) (Stop, error) {
	for {
		s.collect()
		if stop, err, yes := s.reasonToStop(ctx, drain); yes {
			return stop, err
		}
		n := s.free()
		if n == 0 {
			s.await(ctx, drain)
			continue
		}
		if err := s.room(ctx, drain); err != nil {
			s.pause(ctx, drain, s.space.Pause())
			continue
		}
		asked := time.Now()
		claims, err := s.worker.Queue.Claim(context.WithoutCancel(ctx), s.worker.Config.Identity, n)
		if err != nil {
			s.worker.Log.Warn("cannot claim a task; trying again", "error", err)
		}
		if tell := s.worker.Observer.Asked; tell != nil {
			tell(len(claims), err)
		}
		for _, claim := range claims {
			s.start(ctx, drain, claim)
		}
		s.pause(ctx, drain, s.pace.After(len(claims), err, time.Since(asked)))
	}
}

// free is the number of runs to ask for.
func (s *shift) free() int {
	n := s.worker.Config.Capacity - s.running
	if limit := s.worker.Config.TasksToRun; limit > 0 {
		n = min(n, limit-s.worker.journal.Resolved()-s.running)
	}
	return max(n, 0)
}

func (s *shift) reasonToStop(ctx, drain context.Context) (Stop, error, bool) {
	c := s.worker.Config
	refused, refusal := s.pace.RefusedFor()
	short, lack := s.space.ShortFor(s.idleSince)
	switch {
	case ctx.Err() != nil:
		return Aborted, nil, true
	case drain.Err() != nil:
		return Drained, nil, true
	case c.TasksToRun > 0 && s.worker.journal.Resolved() >= c.TasksToRun:
		return TasksDone, nil, true
	case s.misfits >= tooManyMisfits:
		return Unfit, errMisfit, true
	case refused > refusalLimit:
		return Unfit, refusal, true
	case s.running == 0 && short >= shortLimit:
		return Unfit, lack, true
	case c.IdleTimeout > 0 && s.running == 0 && time.Since(s.idleSince) >= c.IdleTimeout:
		return Idle, nil, true
	}
	return 0, nil, false
}

// start runs a claimed task in its own goroutine. A task whose claim was under
// way when the worker was told to stop is given back at once.
func (s *shift) start(ctx, drain context.Context, claim queue.Claim) {
	s.running++
	s.tasks.Go(func() {
		if ctx.Err() != nil || drain.Err() != nil {
			s.ended <- s.worker.giveBack(ctx, claim, task.WorkerShutdown)
			return
		}
		s.ended <- s.worker.runRecorded(ctx, claim)
	})
}

// collect takes note of runs that ended, without waiting.
func (s *shift) collect() {
	for {
		select {
		case r := <-s.ended:
			s.note(r)
		default:
			return
		}
	}
}

// await waits until a run ends or the worker is told to stop.
func (s *shift) await(ctx, drain context.Context) {
	select {
	case r := <-s.ended:
		s.note(r)
	case <-drain.Done():
	case <-ctx.Done():
	}
}

func (s *shift) note(r task.Resolution) {
	s.running--
	s.idleSince = time.Now()
	if r == task.InternalError {
		s.misfits++
		s.pace.Slow(s.misfits)
	} else {
		s.misfits = 0
	}
}

// pause waits before the next claim; runs that end meanwhile are noted.
func (s *shift) pause(ctx, drain context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case r := <-s.ended:
			s.note(r)
		case <-timer.C:
			return
		case <-drain.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// wait returns when every run has ended.
func (s *shift) wait() {
	for ; s.running > 0; s.running-- {
		<-s.ended
	}
	s.tasks.Wait()
}
