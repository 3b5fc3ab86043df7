package ledger

import (
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/queue/local/taskdef"
)

// maxRuns bounds how often a task can run.
const maxRuns = 50

// States of a run, and of a task.
const (
	unscheduled = "unscheduled"
	pending     = "pending"
	running     = "running"
	completed   = "completed"
	failed      = "failed"
	exception   = "exception"
)

// Run is one run of a task. Encoded as JSON it is what the queue answers.
type Run struct {
	RunID          int           `json:"runId"`
	State          string        `json:"state"`
	ReasonCreated  string        `json:"reasonCreated"`
	ReasonResolved string        `json:"reasonResolved,omitempty"`
	WorkerGroup    string        `json:"workerGroup,omitempty"`
	WorkerID       string        `json:"workerId,omitempty"`
	TakenUntil     tcclient.Time `json:"takenUntil,omitzero"`
	Scheduled      tcclient.Time `json:"scheduled"`
	Started        tcclient.Time `json:"started,omitzero"`
	Resolved       tcclient.Time `json:"resolved,omitzero"`
}

// Status is a task's status structure, as the queue answers it.
type Status struct {
	TaskID        string        `json:"taskId"`
	ProvisionerID string        `json:"provisionerId"`
	WorkerType    string        `json:"workerType"`
	TaskQueueID   string        `json:"taskQueueId"`
	SchedulerID   string        `json:"schedulerId"`
	ProjectID     string        `json:"projectId"`
	TaskGroupID   string        `json:"taskGroupId"`
	Deadline      tcclient.Time `json:"deadline"`
	Expires       tcclient.Time `json:"expires"`
	RetriesLeft   int           `json:"retriesLeft"`
	State         string        `json:"state"`
	Runs          []Run         `json:"runs"`
}

// Task is the part of a task that changes, and what is needed to change it.
type Task struct {
	Status
	Sequence     uint64   `json:"sequence"`
	Priority     string   `json:"priority"`
	Retries      int      `json:"retries"`
	Requires     string   `json:"requires"`
	Dependencies []string `json:"dependencies,omitempty"`
	// PendingKey is the key under which the task waits for a worker.
	PendingKey []byte `json:"pendingKey,omitempty"`
}

func newTask(taskID string, d *taskdef.Definition) *Task {
	return &Task{
		Status: Status{
			TaskID:        taskID,
			ProvisionerID: d.ProvisionerID,
			WorkerType:    d.WorkerType,
			TaskQueueID:   d.TaskQueueID,
			SchedulerID:   d.SchedulerID,
			ProjectID:     d.ProjectID,
			TaskGroupID:   d.TaskGroupID,
			Deadline:      d.Deadline,
			Expires:       d.Expires,
			RetriesLeft:   d.Retries,
			State:         unscheduled,
			Runs:          []Run{},
		},
		Priority:     d.Priority,
		Retries:      d.Retries,
		Requires:     d.Requires,
		Dependencies: d.Dependencies,
	}
}

// latest returns the task's last run, or nil.
func (t *Task) latest() *Run {
	if len(t.Runs) == 0 {
		return nil
	}
	return &t.Runs[len(t.Runs)-1]
}

// active tells whether the last run is still to be resolved.
func (t *Task) active() bool {
	return t.State == pending || t.State == running
}

// addRun appends a pending run.
func (t *Task) addRun(reason string, now time.Time) {
	t.Runs = append(t.Runs, Run{RunID: len(t.Runs), State: pending, ReasonCreated: reason, Scheduled: stamp(now)})
	t.State = pending
}

// resolve ends the last run.
func (t *Task) resolve(state, reason string, now time.Time) {
	run := t.latest()
	run.State, run.ReasonResolved, run.Resolved = state, reason, stamp(now)
	t.State = state
}

// stop ends the last run as an exception, adding a run if there is none.
func (t *Task) stop(reason string, now time.Time) {
	if t.latest() == nil {
		t.addRun("exception", now)
	}
	t.resolve(exception, reason, now)
}

// retry adds a run if the task may be retried.
func (t *Task) retry(reason string, now time.Time) {
	if t.RetriesLeft > 0 {
		t.RetriesLeft--
		t.addRun(reason, now)
	}
}

// stamp is a moment with the precision that the queue's documents have.
func stamp(t time.Time) tcclient.Time { return tcclient.Time(t.UTC().Truncate(time.Millisecond)) }

func moment(t tcclient.Time) time.Time { return time.Time(t) }
