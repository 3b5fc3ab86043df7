package task

import (
	"log/slog"
	"sync"

	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"

	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/payload"
	"github.com/taskcluster/generic-worker/platform"
)

// Run is one run of one task on this worker. It is filled from top to bottom
// as the stages go by: Payload and Session are zero until they are known.
type Run struct {
	TaskID     string
	RunID      int
	Definition tcqueue.TaskDefinitionResponse
	// Claim returns the newest claim, whose credentials are valid now.
	Claim func() queue.Claim
	// Dir is this run's own directory, outside the task's: its log and what
	// features must keep from the task. It is removed after the run.
	Dir       string
	Log       *Log                // speaks to the task's author
	Operator  *slog.Logger        // speaks to the operator, with taskId and runId
	Artifacts *artifact.Publisher // uploads with the newest credentials

	Payload payload.Payload
	Session *platform.Session
	// Reserved tells whether an artifact name belongs to a feature, so that a
	// payload cannot publish under it.
	Reserved func(name string) bool

	mu     sync.Mutex
	env    map[string]string
	echoed <-chan struct{}
}

// Setenv adds a variable to the environment of the task's commands. It wins
// over the payload's.
func (r *Run) Setenv(name, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.env == nil {
		r.env = map[string]string{}
	}
	r.env[name] = value
}

// Environ returns the variables the worker and its features gave the task.
func (r *Run) Environ() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	env := make(map[string]string, len(r.env))
	for name, value := range r.env {
		env[name] = value
	}
	return env
}
