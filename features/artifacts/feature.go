package artifacts

import (
	"context"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/artifact/taskdir"
	"github.com/taskcluster/generic-worker/internal/task"
)

// Config is what an operator decides. A zero limit means its default.
type Config struct {
	// Absolute lets payloads name files outside the task's directory. Set it
	// only where tasks run as the worker's own user.
	Absolute bool
	MaxFiles int   // of one task; 10,000
	MaxBytes int64 // of all files of one task, by the size they claim; 50 GiB
}

const (
	defaultMaxFiles = 10_000
	defaultMaxBytes = 50 << 30
)

type feature struct{ Config }

// New returns the feature. Every task with artifacts in its payload has it.
func New(config Config) features.Feature {
	if config.MaxFiles == 0 {
		config.MaxFiles = defaultMaxFiles
	}
	if config.MaxBytes == 0 {
		config.MaxBytes = defaultMaxBytes
	}
	return &feature{config}
}

// Name returns "artifacts".
func (*feature) Name() string { return "artifacts" }

// Attach takes part in runs whose payload asks for artifacts.
func (f *feature) Attach(run *task.Run) (features.Hooks, error) {
	if len(run.Payload.Artifacts) == 0 {
		return features.Hooks{}, nil
	}
	p := &publication{Config: f.Config, run: run}
	return features.Hooks{Prepare: p.prepare, Finish: p.finish}, nil
}

// publication is the artifacts of one run.
type publication struct {
	Config
	run      *task.Run
	tree     taskdir.Tree
	prepared bool
	omitted  []omission // what the entries include and does not become an artifact
	over     error      // there is more than a limit allows, or was time for
}

// prepare marks that the commands may run: before that, a task has left nothing.
func (p *publication) prepare(context.Context) error {
	p.prepared = true
	return nil
}

// finish publishes all that can be and returns the first error in order of name.
func (p *publication) finish(ctx context.Context, so task.Resolution) error {
	if !p.prepared || so == task.Canceled {
		return nil
	}
	p.tree = taskdir.Tree{Root: p.run.Session.Root, Absolute: p.Absolute}
	found := p.list(ctx)
	p.over = task.First(p.over, context.Cause(ctx)) // what was not listed is missed nowhere else
	start := time.Now()
	p.publish(ctx, found)
	p.summary(found, time.Since(start))
	for _, i := range found {
		if i.fatal != nil {
			return i.fatal
		}
	}
	return p.over
}
