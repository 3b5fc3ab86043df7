package mounts

import (
	"context"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/fetch"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/unpack"
	"github.com/taskcluster/generic-worker/payload"
)

// Config is what the operator decides, and what the worker puts together at its
// start.
type Config struct {
	MaxBytes int64         // of one download; 0: 20 GiB
	Limits   unpack.Limits // of one archive or compressed file
	// PurgeAge is how long caches are used without an answer of the purge-cache
	// service; 0 for ever.
	PurgeAge time.Duration
	// Absolute lets payloads name places outside the task directory. Set it only
	// where tasks run as the worker's own user.
	Absolute bool

	Store  *cache.Store  `json:"-"`
	Client *fetch.Client `json:"-"`
	Inputs Inputs        `json:"-"`
}

// Inputs answers where content is and which caches are to be purged. Methods may
// be called concurrently. Their errors are marked with how they resolve the run.
type Inputs interface {
	// Artifact returns a URL of the content of an artifact of a task's latest
	// run; the credentials of the run that asks decide whether it may be read.
	Artifact(ctx context.Context, run *task.Run, taskID, name string) (url string, err error)
	// Indexed returns the task that is indexed under a namespace.
	Indexed(ctx context.Context, run *task.Run, namespace string) (taskID string, err error)
	// Purges returns, by the names of caches, the time before which a cache must
	// have been made to be purged: of all requests since a time, or of all there
	// are if that is zero. The worker's own credentials ask.
	Purges(ctx context.Context, since time.Time) (map[string]time.Time, error)
}

// Feature is the feature of all runs.
type Feature struct {
	config Config
	wait   time.Duration // for an answer of the purge-cache service

	mu    sync.Mutex
	asked time.Time // when the purge-cache service was asked the last time it answered; zero: never
	tried time.Time // when it was asked; zero: never
	begun time.Time // when the worker started
}

var _ features.Feature = (*Feature)(nil)

// New returns the feature. Every task with mounts in its payload has it.
func New(config Config) *Feature { return &Feature{config: config, wait: purgeWait, begun: now()} }

// Name returns "mounts".
func (*Feature) Name() string { return "mounts" }

// Attach takes part in runs whose payload has mounts. Caches need their scopes,
// and tasks whose artifacts are mounted have to be dependencies.
func (f *Feature) Attach(run *task.Run) (features.Hooks, error) {
	if len(run.Payload.Mounts) == 0 {
		return features.Hooks{Prepare: func(ctx context.Context) error { return f.keepUp(ctx, run) }}, nil
	}
	v := &visit{Feature: f, run: run}
	var scopes []string
	for i, m := range run.Payload.Mounts {
		if m.CacheName != "" {
			scopes = append(scopes, run.Payload.ScopePrefix()+":cache:"+m.CacheName)
		}
		if err := f.acceptable(run, i, m); err != nil {
			return features.Hooks{}, err
		}
	}
	return features.Hooks{Scopes: scopes, Prepare: v.prepare, Finish: v.finish}, nil
}

// acceptable checks what needs more than the payload.
func (f *Feature) acceptable(run *task.Run, i int, m payload.Mount) error {
	if c := m.Content; c != nil && c.TaskID != "" && !slices.Contains(run.Definition.Dependencies, c.TaskID) {
		return task.Errorf(task.MalformedPayload, "[mounts] task.dependencies needs to include %s since one or more of its artifacts are mounted; "+
			"add it, or remove mounts[%d]", c.TaskID, i)
	}
	if place := placeOf(m); filepath.IsAbs(filepath.FromSlash(place)) && !f.config.Absolute {
		return task.Errorf(task.MalformedPayload, "[mounts] mounts[%d]: %s is outside the task directory, which this pool does not allow; name a path inside it", i, place)
	}
	return nil
}

// placeOf is where a mount goes, as the payload says it.
func placeOf(m payload.Mount) string {
	if m.File != "" {
		return path.Clean(m.File)
	}
	return path.Clean(m.Directory)
}
