package queuetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"
)

// TaskQueueID is the task queue of tasks that name none.
const TaskQueueID = "test-provisioner/test-worker"

// fakeTask is one task. All its fields are guarded by Fake.mu.
type fakeTask struct {
	f           *Fake
	id          string
	raw         json.RawMessage
	def         tcqueue.TaskDefinitionResponse
	retriesLeft int64
	runs        []*fakeRun
	deadline    *time.Timer
}

// fakeRun is one run of a task.
type fakeRun struct {
	task      *fakeTask
	doc       runDoc
	lease     *time.Timer
	artifacts map[string]*fakeArtifact
	order     []string // of the artifacts
}

// runDoc is a run in a task's status.
type runDoc struct {
	RunID          int           `json:"runId"`
	State          string        `json:"state"`
	ReasonCreated  string        `json:"reasonCreated"`
	ReasonResolved string        `json:"reasonResolved,omitzero"`
	WorkerGroup    string        `json:"workerGroup,omitzero"`
	WorkerID       string        `json:"workerId,omitzero"`
	TakenUntil     tcclient.Time `json:"takenUntil,omitzero"`
	Scheduled      tcclient.Time `json:"scheduled"`
	Started        tcclient.Time `json:"started,omitzero"`
	Resolved       tcclient.Time `json:"resolved,omitzero"`
}

// AddTask creates a task that is pending at once, unless it has dependencies,
// and returns its id. edit changes the definition before it is used.
func (f *Fake) AddTask(payload any, edit ...func(definition map[string]any)) (taskID string) {
	taskID = slugid.Nice()
	now := f.now()
	definition := map[string]any{
		"taskQueueId": TaskQueueID,
		"created":     tcclient.Time(now),
		"deadline":    tcclient.Time(now.Add(24 * time.Hour)),
		"metadata": map[string]any{
			"name": "test", "description": "", "owner": "nobody@example.com", "source": "https://example.com",
		},
		"payload": payload,
	}
	for _, change := range edit {
		change(definition)
	}
	raw, err := json.Marshal(definition)
	if err == nil {
		raw, err = complete(taskID, raw)
	}
	if err == nil {
		err = f.AddDefinition(taskID, raw)
	}
	if err != nil {
		f.mu.Lock()
		f.violate("cannot add task: %v", err)
		f.mu.Unlock()
	}
	return taskID
}

// AddDefinition creates a task whose definition is served byte for byte.
func (f *Fake) AddDefinition(taskID string, raw json.RawMessage) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	task, err := f.parse(taskID, raw)
	if err == nil {
		f.add(task)
	}
	return err
}

// complete fills in what the queue adds to a definition.
func complete(taskID string, raw json.RawMessage) (json.RawMessage, error) {
	definition := map[string]any{
		"schedulerId": "-", "projectId": "none", "taskGroupId": taskID, "priority": "lowest",
		"requires": "all-completed", "retries": 5, "dependencies": []any{}, "routes": []any{},
		"scopes": []any{}, "tags": map[string]any{}, "extra": map[string]any{},
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&definition); err != nil {
		return nil, err
	}
	queue, _ := definition["taskQueueId"].(string)
	if queue == "" {
		queue = fmt.Sprint(definition["provisionerId"], "/", definition["workerType"])
	}
	provisioner, workerType, _ := strings.Cut(queue, "/")
	maps.Copy(definition, map[string]any{"taskQueueId": queue, "provisionerId": provisioner, "workerType": workerType})
	if definition["expires"] == nil {
		var known struct{ Deadline time.Time }
		if err := json.Unmarshal(raw, &known); err != nil {
			return nil, err
		}
		definition["expires"] = tcclient.Time(known.Deadline.AddDate(1, 0, 0))
	}
	if definition["priority"] == "normal" {
		definition["priority"] = "lowest"
	}
	return json.Marshal(definition)
}

func (f *Fake) parse(taskID string, raw json.RawMessage) (*fakeTask, error) {
	task := &fakeTask{f: f, id: taskID, raw: raw}
	if err := json.Unmarshal(raw, &task.def); err != nil {
		return nil, fmt.Errorf("cannot decode task definition: %w", err)
	}
	task.retriesLeft = task.def.Retries
	return task, nil
}

func (f *Fake) add(task *fakeTask) {
	task.deadline = time.AfterFunc(time.Time(task.def.Deadline).Sub(f.now()), func() { f.ExpireDeadline(task.id) })
	f.tasks[task.id] = task
	f.groups[task.def.TaskGroupID] = append(f.groups[task.def.TaskGroupID], task)
	for _, id := range task.def.Dependencies {
		f.dependents[id] = append(f.dependents[id], task)
	}
	if task.ready() {
		task.newRun("scheduled")
	}
}

func (t *fakeTask) state() string {
	if len(t.runs) == 0 {
		return "unscheduled"
	}
	return t.runs[len(t.runs)-1].doc.State
}

func (t *fakeTask) active() bool {
	state := t.state()
	return state == "unscheduled" || state == "pending" || state == "running"
}

// ready tells whether all that the task waits for is resolved as it requires.
func (t *fakeTask) ready() bool {
	for _, id := range t.def.Dependencies {
		on := t.f.tasks[id]
		if id == t.id || on == nil || on.active() || on.state() != "completed" && t.def.Requires != "all-resolved" {
			return false
		}
	}
	return true
}

// newRun adds a pending run, behind those that are as urgent.
func (t *fakeTask) newRun(reason string) {
	run := &fakeRun{task: t, artifacts: make(map[string]*fakeArtifact), doc: runDoc{
		RunID: len(t.runs), State: "pending", ReasonCreated: reason, Scheduled: tcclient.Time(t.f.now()),
	}}
	t.runs = append(t.runs, run)
	queue := t.f.pending[t.def.TaskQueueID]
	at := len(queue)
	for at > 0 && urgency(queue[at-1].task.def.Priority) < urgency(t.def.Priority) {
		at--
	}
	t.f.pending[t.def.TaskQueueID] = slices.Insert(queue, at, run)
	close(t.f.wake)
	t.f.wake = make(chan struct{})
	t.f.notify()
}

func urgency(priority string) int {
	return slices.Index([]string{"lowest", "very-low", "low", "medium", "high", "very-high", "highest"}, priority)
}

// resolve ends the last run of a task and does what follows from it.
func (t *fakeTask) resolve(state, reason string) {
	if len(t.runs) == 0 {
		t.runs = append(t.runs, &fakeRun{task: t, doc: runDoc{ReasonCreated: "exception", Scheduled: tcclient.Time(t.f.now())}})
	}
	run := t.runs[len(t.runs)-1]
	queue := t.def.TaskQueueID
	if at := slices.Index(t.f.pending[queue], run); at >= 0 {
		t.f.pending[queue] = slices.Delete(t.f.pending[queue], at, at+1)
	}
	run.stopLease()
	run.doc.State, run.doc.ReasonResolved, run.doc.Resolved = state, reason, tcclient.Time(t.f.now())
	again := map[string]string{"worker-shutdown": "retry", "claim-expired": "retry", "intermittent-task": "task-retry"}[reason]
	if again != "" && t.retriesLeft > 0 {
		t.retriesLeft--
		t.newRun(again)
	}
	for _, waiting := range t.f.dependents[t.id] {
		if waiting.state() == "unscheduled" && waiting.ready() {
			waiting.newRun("scheduled")
		}
	}
	t.f.notify()
}

func (r *fakeRun) stopLease() {
	if r.lease != nil {
		r.lease.Stop()
	}
}

func (t *fakeTask) stopTimers() {
	t.deadline.Stop()
	for _, run := range t.runs {
		run.stopLease()
	}
}

// Cancel cancels a task as its owner would.
func (f *Fake) Cancel(taskID string) {
	f.onTask(f.cancel)(&exchange{f: f, taskID: taskID})
}

// ExpireDeadline lets a task's deadline pass now.
func (f *Fake) ExpireDeadline(taskID string) {
	f.expire(taskID, "deadline-exceeded", (*fakeTask).active)
}

// ExpireClaim lets the lease of a task's running run end now.
func (f *Fake) ExpireClaim(taskID string) {
	f.expire(taskID, "claim-expired", func(t *fakeTask) bool { return t.state() == "running" })
}

func (f *Fake) expire(taskID, reason string, applies func(*fakeTask) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if task := f.tasks[taskID]; task != nil && applies(task) {
		task.resolve("exception", reason)
	}
}

func (f *Fake) createTask(x *exchange) reply {
	raw, err := complete(x.taskID, x.body)
	if err != nil {
		return refuse(http.StatusBadRequest, "InputValidationError", err.Error())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if task := f.tasks[x.taskID]; task != nil {
		if !bytes.Equal(task.raw, raw) {
			return conflict("taskId already used by another task")
		}
		return f.statusOf(task)
	}
	task, err := f.parse(x.taskID, raw)
	if err != nil {
		return refuse(http.StatusBadRequest, "InputValidationError", err.Error())
	}
	for _, id := range task.def.Dependencies {
		if f.tasks[id] == nil && id != x.taskID {
			return inputError("dependency " + id + " does not exist")
		}
	}
	for _, other := range f.groups[task.def.TaskGroupID] {
		if other.def.SchedulerID != task.def.SchedulerID {
			return conflict("task group belongs to another scheduler")
		}
	}
	f.add(task)
	return f.statusOf(task)
}

func (f *Fake) task(x *exchange) reply {
	return f.onTask(func(t *fakeTask) reply { return reply{200, []byte(t.raw)} })(x)
}

func (f *Fake) statusOf(t *fakeTask) reply {
	return reply{200, map[string]any{"status": t.status()}}
}

type statusDoc struct {
	TaskID        string        `json:"taskId"`
	ProvisionerID string        `json:"provisionerId"`
	WorkerType    string        `json:"workerType"`
	TaskQueueID   string        `json:"taskQueueId"`
	SchedulerID   string        `json:"schedulerId"`
	ProjectID     string        `json:"projectId"`
	TaskGroupID   string        `json:"taskGroupId"`
	Deadline      tcclient.Time `json:"deadline"`
	Expires       tcclient.Time `json:"expires"`
	RetriesLeft   int64         `json:"retriesLeft"`
	State         string        `json:"state"`
	Runs          []runDoc      `json:"runs"`
}

func (t *fakeTask) status() statusDoc {
	runs := make([]runDoc, 0, len(t.runs))
	for _, run := range t.runs {
		runs = append(runs, run.doc)
	}
	return statusDoc{
		TaskID: t.id, ProvisionerID: t.def.ProvisionerID, WorkerType: t.def.WorkerType, TaskQueueID: t.def.TaskQueueID,
		SchedulerID: t.def.SchedulerID, ProjectID: t.def.ProjectID, TaskGroupID: t.def.TaskGroupID,
		Deadline: t.def.Deadline, Expires: t.def.Expires, RetriesLeft: t.retriesLeft, State: t.state(), Runs: runs,
	}
}

func (t *fakeTask) late() bool { return !t.f.now().Before(time.Time(t.def.Deadline)) }

func (f *Fake) schedule(t *fakeTask) reply {
	if t.late() {
		return conflict("task cannot be scheduled past its deadline")
	}
	if t.state() == "unscheduled" {
		t.newRun("scheduled")
	}
	return f.statusOf(t)
}

func (f *Fake) rerun(t *fakeTask) reply {
	if t.late() {
		return conflict("task cannot be rescheduled past its deadline")
	}
	if t.state() == "unscheduled" || !t.active() {
		t.retriesLeft = t.def.Retries
		t.newRun("rerun")
	}
	return f.statusOf(t)
}

func (f *Fake) cancel(t *fakeTask) reply {
	if t.late() {
		return conflict("task cannot be canceled past its deadline")
	}
	if t.active() {
		t.resolve("exception", "canceled")
	}
	return f.statusOf(t)
}

func (f *Fake) listTaskGroup(x *exchange) reply {
	f.mu.Lock()
	defer f.mu.Unlock()
	group := f.groups[x.name]
	if len(group) == 0 {
		return notFound("task group")
	}
	from, to, next := x.page(len(group))
	tasks := make([]any, 0, to-from)
	for _, t := range group[from:to] {
		tasks = append(tasks, map[string]any{"status": t.status(), "task": t.raw})
	}
	doc := map[string]any{"taskGroupId": x.name, "tasks": tasks}
	if next != "" {
		doc["continuationToken"] = next
	}
	return reply{200, doc}
}
