package queuetest

import (
	"context"
	"encoding/json"
	"io"

	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"

	"github.com/taskcluster/generic-worker/internal/queue"
)

// Queue is what the contract speaks of: the calls people and workers make.
// queue.Client has them over HTTP and local.Queue in process. Errors are
// *queue.Error with the status the queue answers.
type Queue interface {
	// CreateTask creates a task from a definition as in the queue's createTask
	// call. Creating the same task again is allowed, another under its id is
	// a conflict.
	CreateTask(ctx context.Context, taskID string, definition json.RawMessage) (tcqueue.TaskStatusStructure, error)
	// Task returns the definition exactly as it is stored.
	Task(ctx context.Context, taskID string) (json.RawMessage, error)
	Status(ctx context.Context, taskID string) (tcqueue.TaskStatusStructure, error)
	ScheduleTask(ctx context.Context, taskID string) (tcqueue.TaskStatusStructure, error)
	RerunTask(ctx context.Context, taskID string) (tcqueue.TaskStatusStructure, error)
	CancelTask(ctx context.Context, taskID string) (tcqueue.TaskStatusStructure, error)
	// TaskGroup returns the status of every task in the group, in order of creation.
	TaskGroup(ctx context.Context, taskGroupID string) ([]tcqueue.TaskStatusStructure, error)

	// Claim takes up to n pending tasks, most urgent first, waiting for the
	// first one as long as the queue's long poll lasts. No tasks is no error.
	Claim(ctx context.Context, worker queue.Worker, n int) ([]queue.Claim, error)
	// Reclaim extends a claim: same run, later TakenUntil, new credentials.
	Reclaim(ctx context.Context, claim queue.Claim) (queue.Claim, error)
	// Resolve reports the run's outcome. Reporting the same outcome twice is allowed.
	Resolve(ctx context.Context, claim queue.Claim, outcome queue.Outcome) error

	// CreateArtifact announces an artifact of the claimed run. request and
	// answer are the queue's own documents, told apart by storageType.
	CreateArtifact(ctx context.Context, claim queue.Claim, name string, request json.RawMessage) (json.RawMessage, error)
	// FinishArtifact tells that the object upload of an artifact is complete.
	FinishArtifact(ctx context.Context, claim queue.Claim, name, uploadID string) error
	// Artifacts lists the artifacts of a run; runID -1 means the latest.
	Artifacts(ctx context.Context, taskID string, runID int) ([]queue.Artifact, error)
	// OpenArtifact returns an artifact's content, decoded if it is stored
	// gzipped, following references and links; runID -1 means the latest.
	// The caller closes it.
	OpenArtifact(ctx context.Context, taskID string, runID int, name string) (io.ReadCloser, error)
}
