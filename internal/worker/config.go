package worker

import (
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/process/usage"
)

// Config is how a worker behaves; the zero value of every optional field is
// its default.
type Config struct {
	Identity queue.Worker // pool and name under which runs are claimed
	RootURL  string       // TASKCLUSTER_ROOT_URL of every task
	Capacity int          // tasks at the same time, at least 1
	// TasksToRun is the number of tasks after which the worker stops, counted
	// over restarts in StateDir; 0 is endless.
	TasksToRun     int
	IdleTimeout    time.Duration // without a task for this long the worker stops; 0 is never
	MaxTaskRunTime time.Duration // largest maxRunTime a payload may ask for
	StateDir       string        // the worker's own files, not shared with another worker
	// RefuseDocker makes tasks malformed whose payloads were written for
	// docker-worker; otherwise their commands run without the image.
	RefuseDocker bool
	// RefuseNative makes all other tasks malformed.
	RefuseNative   bool
	WorkerLocation string // TASKCLUSTER_WORKER_LOCATION, if set
	InstanceType   string // TASKCLUSTER_INSTANCE_TYPE, if set
	// Metadata is printed at the top of every task's log.
	Metadata map[string]any

	// Grace is how long a stopped command may take to end by itself.
	Grace time.Duration
	// ShutdownBudget is how long after an abort for shutdown a run may still
	// upload before its report is sent.
	ShutdownBudget time.Duration
	// CancelCheck is how often the queue is asked whether a run was canceled.
	CancelCheck time.Duration

	// Limits are what the processes of one command may use together.
	Limits usage.Limits
	// SpareTasks leaves tasks an ordinary place when Linux looks for a process
	// to kill for want of memory; otherwise they go first.
	SpareTasks bool
}

// aftermathLimit bounds what is done for a run after its last command.
const aftermathLimit = 6 * time.Hour

// reportLimit bounds the report of a run when its worker shuts down.
const reportLimit = 5 * time.Second
