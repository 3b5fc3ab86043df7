package chain

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// ErrNotFound is what a Source returns, wrapped, for a task, run or artifact
// that certainly does not exist. It refuses; any other error of a Source leaves
// the verdict open.
var ErrNotFound = errors.New("does not exist")

// Source is where tasks and artifacts come from: a queue, or a directory with a
// copy. Methods are called concurrently, from a bounded number of goroutines;
// each bounds its own waiting. Asked twice, a Source gives the same answer.
type Source interface {
	// Task returns the definition and the runs of a task.
	Task(ctx context.Context, taskID string) (*Task, error)
	// Artifact returns the bytes of an artifact of one run, with any
	// Content-Encoding undone. The caller closes it; reading also ends with ctx.
	Artifact(ctx context.Context, taskID string, runID int, name string) (io.ReadCloser, error)
	// Artifacts returns the names of all artifacts of one run.
	Artifacts(ctx context.Context, taskID string, runID int) ([]string, error)
}

// Task is what the queue knows of a task.
type Task struct {
	// Definition is the queue's answer, as received.
	Definition json.RawMessage `json:"definition"`
	// Runs are ordered by run id, which is the index.
	Runs []Run `json:"runs"`
}

// Run is what the queue knows of one run of a task.
type Run struct {
	State    string    `json:"state"`             // pending, running, completed, failed, exception
	Started  time.Time `json:"started,omitzero"`  // zero: it never ran
	Resolved time.Time `json:"resolved,omitzero"` // zero: it is not over
}

// Templates rebuilds decision, cron and action tasks from what their
// repository says. The profile decides how: ed25519 renders .taskcluster.yml,
// gpg looks at the command of the decision task.
type Templates interface {
	// Check returns what speaks against the task, nothing if it is as its
	// repository wants it. A template that cannot be rendered, an unknown
	// project or an event the policy does not know also speak against it: such
	// a Difference has an empty Path. An error means that it could not be found
	// out. Check is called concurrently.
	Check(ctx context.Context, task ParentTask) ([]Difference, error)
}

// ParentTask is a task that creates others, and what verifying it needs. What
// is in it has been verified against certificates.
type ParentTask struct {
	Policy     *Policy
	TaskID     string
	Definition json.RawMessage // of the task itself, from the queue
	Action     bool            // else a decision task, also one made by cron

	DecisionID string          // the decision task in whose group an action is; TaskID for a decision task
	Decision   json.RawMessage // its definition; Definition for a decision task
	Parameters []byte          // its parameters.yml; nil unless Action
	Actions    []byte          // its actions.json; nil unless Action
}

// Difference is one place in which a task is not as its repository wants it.
type Difference struct {
	Path   string // such as /payload/env/LEVEL; empty: the task as a whole
	Reason string // for people
}

// Request says what to verify.
type Request struct {
	TaskID   string
	TaskType string // what the policy's TaskTypes calls it
	// CheckTask verifies the certificate of the task itself, too, which must be
	// over by then.
	CheckTask bool

	Policy    *Policy
	Source    Source
	Templates Templates // nil: the rule parent-definition stays undecided
	// Landed tells whether a revision is on a branch of a repository itself and
	// not only of a fork. Nil leaves the rule restricted-trees undecided where a VCSRule
	// asks for it.
	Landed func(ctx context.Context, repository, revision string) (bool, error)
	// Dir is an existing directory for verified artifacts, which nobody else
	// can write to. They appear as <task id>/<artifact name>; what was there of
	// the same task is removed first.
	Dir string
}
