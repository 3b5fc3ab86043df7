package loopback

import (
	"context"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
	"github.com/taskcluster/generic-worker/platform/device"
)

// Config is what an operator decides.
type Config struct {
	Number int // of the device
}

// kind is what the two features differ in.
type kind struct {
	name   string // in payloads
	what   string // in scopes and sentences
	asked  func(payload.Features) bool
	tell   func(run *task.Run) // what the task has been lent
	module device.Module
}

type feature struct {
	kind
	device *device.Device
}

func newFeature(k kind) *feature { return &feature{kind: k, device: device.New(k.module)} }

// Name returns "loopbackVideo" or "loopbackAudio".
func (f *feature) Name() string { return f.name }

// Attach takes part in runs whose payload asks for the device.
func (f *feature) Attach(run *task.Run) (features.Hooks, error) {
	if !f.asked(run.Payload.Features) {
		return features.Hooks{}, nil
	}
	l := &loan{feature: f, run: run}
	scope := "generic-worker:loopback-" + f.what
	pool := run.Definition.ProvisionerID + "/" + run.Definition.WorkerType
	return features.Hooks{AnyScope: []string{scope + ":" + pool, scope}, Prepare: l.prepare, Finish: l.finish}, nil
}

// loan is the device in the hands of one run.
type loan struct {
	*feature
	run      *task.Run
	giveBack func()
}

func (l *loan) prepare(ctx context.Context) error {
	giveBack, err := l.device.Borrow(ctx, func() {
		l.run.Log.Info("Waiting for the %s loopback device: another task of this worker has it", l.what)
	})
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		l.run.Operator.Error("there is no loopback device for a task", "kind", l.what, "error", err)
		return task.Errorf(task.ResourceUnavailable, "this machine has no %s loopback device for the task, and its owner has to see to that: %w", l.what, err)
	}
	l.giveBack = giveBack
	l.tell(l.run)
	return nil
}

// finish gives the device to the next task: nothing of this one runs any more.
func (l *loan) finish(context.Context, task.Resolution) error {
	if l.giveBack != nil {
		l.giveBack()
		l.giveBack = nil
	}
	return nil
}
