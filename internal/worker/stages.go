package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
	"github.com/taskcluster/generic-worker/platform"
)

// run is a task.Run on its way through the stages.
type run struct {
	*task.Run
	worker *Worker
	lease  *lease
	opened error // why the run has no log, if it has none
	hooks  []attached
	begun  time.Time

	expanded []string // the task's scopes with those of its roles, once known
}

type attached struct {
	name string
	features.Hooks
}

// begin opens the run and writes the head of its log.
func (w *Worker) begin(lease *lease) *run {
	r := &run{worker: w, lease: lease, begun: time.Now()}
	r.Run, r.opened = w.Runs.Open(lease.get)
	r.Environment = r.environment
	claimed := lease.get().Received
	r.Phases = task.Phases{{Name: "claim", Start: claimed, Elapsed: max(r.begun.Sub(claimed), 1)}}
	r.head()
	return r
}

// enter finds out what the task wants and makes the place it runs in. Features
// attach even to a task with a malformed payload, so that its log is published.
func (r *run) enter(ctx context.Context) error {
	return r.stage("setup", func() error {
		if r.opened != nil {
			return r.opened
		}
		parsed, malformed := payload.Parse(r.Definition.Payload)
		if _, authors := errors.AsType[payload.Problems](malformed); authors {
			malformed = task.Errorf(task.MalformedPayload, "the task's payload is malformed; mend it (generic-worker show-payload-schema prints all that it can be) and create a new task:\n%w", malformed)
		}
		if malformed != nil {
			parsed = payload.Default()
		}
		r.Payload = parsed
		err := task.First(malformed, r.acceptable(), context.Cause(ctx))
		if err == nil {
			r.useImage()
			r.remarks()
			err = r.openSession(ctx)
		}
		return task.First(err, r.attach(ctx))
	})
}

// acceptable checks what only this worker and this task's dates can tell.
func (r *run) acceptable() error {
	p, d := r.Payload, r.Definition
	if limit := r.worker.Config.MaxTaskRunTime; limit > 0 && p.MaxRunTime > limit {
		return task.Errorf(task.MalformedPayload, "maxRunTime: %v is more than the %v this pool allows; lower it or ask the pool's owner", p.MaxRunTime, limit)
	}
	if p.Image != nil && r.worker.Config.RefuseDocker {
		return task.Errorf(task.MalformedPayload, "image: pool %s takes no payloads for docker-worker; send the task to a pool that does, or write its payload for generic-worker",
			r.worker.Config.Identity.TaskQueueID)
	}
	if p.Image == nil && r.worker.Config.RefuseNative {
		return task.Errorf(task.MalformedPayload, "pool %s takes only payloads for docker-worker; write the task's payload for it, with an image, or send the task to another pool",
			r.worker.Config.Identity.TaskQueueID)
	}
	if err := p.CheckExpiry(time.Time(d.Deadline), time.Time(d.Expires)); err != nil {
		return task.Errorf(task.MalformedPayload, "the task's artifacts cannot be published; mend the payload and create a new task:\n%w", err)
	}
	for _, name := range p.Requests() {
		if !slices.ContainsFunc(r.worker.Features, func(f features.Feature) bool { return f.Name() == name }) {
			return task.Errorf(task.MalformedPayload, "the payload asks for %s, which pool %s does not offer; remove it or ask the pool's owner",
				p.Key(name), r.worker.Config.Identity.TaskQueueID)
		}
	}
	return nil
}

func (r *run) openSession(ctx context.Context) error {
	session, err := r.worker.Engine.Open(ctx, platform.SessionName(r.TaskID, r.RunID))
	if err != nil {
		return fmt.Errorf("cannot make a place for the task to run in: %w", err)
	}
	session.Limit = r.worker.limit
	r.Session = session
	return nil
}

// attach asks every feature what it does for this run.
func (r *run) attach(ctx context.Context) error {
	var first error
	owners := map[string]string{}
	r.Reserved = func(name string) bool { return owners[name] != "" }
	for _, f := range r.worker.Features {
		var hooks features.Hooks
		err := r.contain(func() (err error) { hooks, err = f.Attach(r.Run); return err })
		if err != nil {
			first = task.First(first, err)
			continue
		}
		r.hooks = append(r.hooks, attached{name: f.Name(), Hooks: hooks})
		first = task.First(first, r.permitted(ctx, f.Name(), hooks))
		for _, name := range hooks.Reserves {
			if other := owners[name]; other != "" {
				first = task.First(first, task.Errorf(task.MalformedPayload, "artifact %q is wanted by both %s and %s; give one of them another name", name, other, f.Name()))
			}
			owners[name] = f.Name()
		}
	}
	return task.First(first, r.free(owners))
}

// free checks that no artifact of the payload has the name of one that a
// feature publishes. Of directories it turns out later which names they take.
func (r *run) free(owners map[string]string) error {
	for _, a := range r.Payload.Artifacts {
		if owner := owners[a.Name]; a.Type == payload.File && owner != "" {
			return task.Errorf(task.MalformedPayload, "artifact %q of the payload has a name that %s publishes; give it another name", a.Name, owner)
		}
	}
	return nil
}

// prepare lets each feature do its part before the first command.
func (r *run) prepare(ctx context.Context) error {
	return r.stage("prepare", func() error {
		for _, h := range r.hooks {
			if err := r.part(ctx, h.name, h.Prepare); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		return nil
	})
}

// hold lets features keep the place of a command that failed until somebody
// has looked. It ends with ctx, as a command would.
func (r *run) hold(ctx context.Context, err error) {
	failed := []task.Resolution{task.Failed, task.IntermittentTask}
	wanted := slices.ContainsFunc(r.hooks, func(h attached) bool { return h.Hold != nil })
	if !wanted || err == nil || !slices.Contains(failed, task.ResolutionOf(err)) {
		return
	}
	_ = r.stage("hold", func() error {
		for _, h := range slices.Backward(r.hooks) {
			if err := r.call(ctx, h.Hold); err != nil {
				r.Operator.Warn("cannot keep the place of a failed task", "feature", h.name, "error", err)
			}
		}
		return nil
	})
}

// finish lets each feature end its part; the first error decides, but every
// feature has its turn.
func (r *run) finish(ctx context.Context, err error) error {
	finished := r.stage("uploads", func() error {
		var first error
		for _, h := range slices.Backward(r.hooks) {
			if h.Finish != nil {
				resolution := task.ResolutionOf(task.First(err, first))
				finish := func(ctx context.Context) error { return h.Finish(ctx, resolution) }
				first = task.First(first, r.part(ctx, h.name, finish))
			}
		}
		return first
	})
	r.foot(task.First(err, finished))
	return finished
}

// seal closes the log and publishes it. Nobody takes the artifacts of a
// canceled run.
func (r *run) seal(ctx context.Context, err error) error {
	return r.stage("seal", func() error {
		first := r.Log.Close()
		if task.ResolutionOf(err) == task.Canceled {
			return first
		}
		for _, h := range r.hooks {
			r.Resolution = task.ResolutionOf(task.First(err, first))
			first = task.First(first, r.part(ctx, h.name, h.Seal))
		}
		return first
	})
}

// resolve reports the run, unless it is not ours any more.
func (r *run) resolve(ctx context.Context, err error) task.Summary {
	if r.lease.lost.Err() != nil {
		err = context.Cause(r.lease.lost)
	}
	summary := task.Summary{TaskID: r.TaskID, RunID: r.RunID, Claimed: r.lease.get().Received, Resolution: task.ResolutionOf(err), Err: err}
	if summary.Resolution != task.Canceled {
		unreported := r.stage("resolve", func() error { return r.report(ctx, summary.Resolution) })
		if errors.Is(unreported, queue.ErrConflict) {
			summary.Err = task.Errorf(task.Canceled, "the run had been resolved before its end could be reported: it was canceled, or passed its deadline (%w)", unreported)
			summary.Resolution, err = task.Canceled, summary.Err
		} else if unreported != nil {
			r.Operator.Error("cannot report the run; the queue retries it when the claim runs out", "resolution", summary.Resolution, "error", unreported)
		}
		summary.Reported = unreported == nil
	}
	r.lease.release() // what is left to do needs no claim
	log := r.Operator
	if err != nil {
		log = log.With("error", err)
	}
	log.Info("run ended", "resolution", summary.Resolution, "elapsed", time.Since(r.begun), "phases", r.Phases.String())
	summary.Phases, summary.Artifacts = r.Phases, r.Artifacts.Records()
	return summary
}

// report tells the queue, for as long as the claim lasts; at a shutdown there
// is only a little time.
func (r *run) report(ctx context.Context, resolution task.Resolution) error {
	limit := r.lease.get().Expires
	if resolution == task.WorkerShutdown {
		limit = time.Now().Add(reportLimit)
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), limit)
	defer cancel()
	return r.worker.Queue.Resolve(ctx, r.lease.get(), resolution.Outcome())
}

// close ends every feature and takes the session away.
func (r *run) close(ctx context.Context) {
	var errs []error
	for _, h := range slices.Backward(r.hooks) {
		errs = append(errs, r.call(ctx, h.Close))
	}
	if r.Session != nil {
		errs = append(errs, r.contain(func() error { return r.Session.Close(ctx) }))
	}
	errs = append(errs, r.Run.Close())
	if err := errors.Join(errs...); err != nil {
		r.Operator.Error("cannot clean up after the run", "error", err)
	}
}

// aftermath is the context for what is still done after the last command. An
// abort of the task does not end it; losing the claim does, and so does running
// over the time there is when the worker shuts down.
func (w *Worker) aftermath(work context.Context, lease *lease) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(work))
	late := time.AfterFunc(aftermathLimit, func() {
		cancel(task.Errorf(task.ResourceUnavailable, "uploading and cleaning up took more than %v", aftermathLimit))
	})
	forget := context.AfterFunc(lease.lost, func() { cancel(context.Cause(lease.lost)) })
	ignore := context.AfterFunc(work, func() {
		left := w.Config.ShutdownBudget
		if shutdown, ok := errors.AsType[*task.Error](context.Cause(work)); ok {
			left -= shutdown.Age()
		}
		budget := time.NewTimer(left)
		defer budget.Stop()
		select {
		case <-budget.C:
			cancel(context.Cause(work))
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		late.Stop()
		forget()
		ignore()
		cancel(nil)
	}
}

// stage runs one stage, contains its panics and notes how long it took.
func (r *run) stage(name string, f func() error) error {
	defer r.Phases.Begin(name, false)()
	return r.contain(f)
}

// part calls a hook of a feature as a part of the stage.
func (r *run) part(ctx context.Context, feature string, hook func(context.Context) error) error {
	if hook == nil {
		return nil
	}
	defer r.Phases.Begin(feature, true)()
	return r.call(ctx, hook)
}

func (r *run) call(ctx context.Context, hook func(context.Context) error) error {
	if hook == nil {
		return nil
	}
	return r.contain(func() error { return hook(ctx) })
}

// contain turns a panic into an error, so that it costs one run and not the
// worker. Where it happened is for the operator.
func (r *run) contain(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.Operator.Error("a panic was contained", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error in the worker: %v", p)
		}
	}()
	return f()
}

// giveBack reports a run that went through no stages, or not through all.
func (w *Worker) giveBack(ctx context.Context, claim queue.Claim, resolution task.Resolution) task.Resolution {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportLimit)
	defer cancel()
	if err := w.Queue.Resolve(ctx, claim, resolution.Outcome()); err != nil {
		w.Log.Error("cannot give back a task", "taskId", claim.TaskID, "runId", claim.RunID, "resolution", resolution, "error", err)
	}
	return resolution
}
