package telemetry

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/task"
)

// prefix is what log collectors look for.
const prefix = "WORKER_METRICS "

// events writes lines that log collectors of deployments know by their prefix.
type events struct {
	worker Worker
	mu     sync.Mutex
	to     io.Writer // nil for none
}

func newEvents(c Config) *events { return &events{worker: c.Worker, to: c.Events} }

// event is one line; the names are those that collectors know.
type event struct {
	EventType    string `json:"eventType"`
	Worker       string `json:"worker"`
	WorkerPoolID string `json:"workerPoolId"`
	WorkerID     string `json:"workerId"`
	Timestamp    int64  `json:"timestamp"` // seconds since 1970
	Region       string `json:"region"`
	InstanceType string `json:"instanceType"`
	TaskID       string `json:"taskId,omitempty"`
	RunID        *int   `json:"runId,omitempty"`
}

// run names a run in an event.
type run struct {
	taskID string
	runID  int
}

// write writes one line at once, so that it does not mix with others. Nobody
// can be told that it cannot be written: it is where one would be told.
func (e *events) write(kind string, at time.Time, of *run) {
	if e.to == nil {
		return
	}
	line := event{
		EventType: kind, Worker: "generic-worker", WorkerPoolID: e.worker.PoolID, WorkerID: e.worker.ID,
		Timestamp: at.Unix(), Region: e.worker.Region, InstanceType: e.worker.InstanceType,
	}
	if of != nil {
		line.TaskID, line.RunID = of.taskID, &of.runID
	}
	text, err := json.Marshal(line)
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	_, _ = e.to.Write(append(append([]byte(prefix), text...), '\n'))
}

// boot tells when the machine was started, if that can be known.
func (e *events) boot() {
	if at, err := bootTime(); err == nil {
		e.write("instanceBoot", at, nil)
	}
}

func (e *events) started(s task.Start) {
	of := &run{s.TaskID, s.RunID}
	e.write("taskQueued", s.Created, of)
	e.write("taskStart", s.Claimed, of)
}

func (e *events) ended(s task.Summary) {
	e.write("taskFinish", time.Now(), &run{s.TaskID, s.RunID})
}
