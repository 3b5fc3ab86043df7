package task

import (
	"log/slog"
	"slices"
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
	// Claim returns the newest claim, whose credentials are valid now; the log
	// masks them.
	Claim func() queue.Claim
	// Dir is this run's own directory, outside the task's: its log and what
	// features must keep from the task. It is removed after the run.
	Dir       string
	Log       *Log                // speaks to the task's author
	Operator  *slog.Logger        // speaks to the operator, with taskId and runId
	Artifacts *artifact.Publisher // uploads with the newest credentials

	Payload payload.Payload
	Session *platform.Session
	// Image is what was made of Payload.Image for the commands; nil if they run
	// without an image.
	Image *Image
	// Environment returns the variables that a command of the task gets beside
	// those of its session, which they win over. It may be called concurrently,
	// once Session is known.
	Environment func() map[string]string
	// LastExit is the exit code of the last command that ended by itself; -1
	// as long as there is none, or if a later one did not.
	LastExit int
	// Aborted tells that commands were stopped before they ended by themselves,
	// so that what they were at may be half done.
	Aborted bool
	// Resolution is how the run ends, as far as is known when it is sealed.
	Resolution Resolution
	// Phases are where the time of the run went, up to now.
	Phases Phases
	// Reserved tells whether an artifact name belongs to a feature, so that a
	// payload cannot publish under it.
	Reserved func(name string) bool

	mu      sync.Mutex
	env     map[string]string
	secrets []string
	echoed  <-chan struct{}
}

// Image identifies the image that commands run in.
type Image struct {
	Hash         string // of the image itself, "sha256:" and hexadecimal digits
	ArtifactHash string // of the artifact the image came in, likewise; empty if it came from a registry
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

// SetSecret adds a variable like Setenv whose value must be nowhere else: the
// log masks it unless it is too short for that.
func (r *Run) SetSecret(name, value string) {
	r.Log.Mask(value)
	r.Setenv(name, value)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(r.secrets, name)
}

// Secrets returns the names of the variables of SetSecret.
func (r *Run) Secrets() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.secrets)
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
