package queue

import (
	"encoding/json"
	"time"

	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"

	"github.com/taskcluster/generic-worker/internal/mask"
)

// Credentials identify a client to the queue. Certificate is empty for
// permanent credentials and a JSON document for temporary ones.
type Credentials struct {
	ClientID    string
	AccessToken mask.Secret
	Certificate mask.Secret
}

// Worker is the identity under which runs are claimed.
type Worker struct {
	TaskQueueID string // provisionerId/workerType
	WorkerGroup string
	WorkerID    string
}

// Claim is one run of one task that the queue gave to this worker until
// TakenUntil. Reclaiming returns a new Claim with a later TakenUntil and fresh
// Credentials; the rest stays the same.
type Claim struct {
	TaskID string
	RunID  int
	// Task is the definition exactly as the queue sent it; Definition is the
	// same document, decoded.
	Task       json.RawMessage
	Definition tcqueue.TaskDefinitionResponse
	// Credentials may do what the task's scopes allow, and report on this run.
	Credentials Credentials
	// TakenUntil is by the queue's clock. Expires is the same moment by this
	// machine's monotonic clock: the time the answer arrived plus what was left
	// of the lease when the queue sent it.
	TakenUntil time.Time
	Expires    time.Time
	Received   time.Time
}

// Outcome is what the queue is told about a finished run.
type Outcome struct {
	// State is one of "completed", "failed" and "exception".
	State string
	// Reason goes with "exception": worker-shutdown, malformed-payload,
	// resource-unavailable, internal-error or intermittent-task.
	Reason string
}

// Artifact describes one artifact of a run, as the queue lists it.
type Artifact struct {
	Name          string    `json:"name"`
	StorageType   string    `json:"storageType"`
	ContentType   string    `json:"contentType"`
	ContentLength int64     `json:"contentLength,omitempty"`
	Expires       time.Time `json:"expires"`
}
