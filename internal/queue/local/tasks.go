package local

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"

	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
	"github.com/taskcluster/generic-worker/internal/queue/local/ledger"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
	"github.com/taskcluster/generic-worker/internal/queue/local/taskdef"
)

func (q *Queue) taskRoutes() []rest.Route {
	const get, put, post = http.MethodGet, http.MethodPut, http.MethodPost
	return []rest.Route{
		q.route(get, "/task/{taskId}", "task", (*call).task),
		q.route(put, "/task/{taskId}", "createTask", (*call).createTask),
		q.route(get, "/task/{taskId}/status", "status", (*call).status),
		q.route(get, "/task/{taskId}/dependents", "listDependentTasks", (*call).dependents),
		q.route(post, "/task/{taskId}/schedule", "scheduleTask", (*call).schedule),
		q.route(post, "/task/{taskId}/rerun", "rerunTask", (*call).rerun),
		q.route(post, "/task/{taskId}/cancel", "cancelTask", (*call).cancel),
		q.route(get, "/task-group/{taskGroupId}/list", "listTaskGroup", (*call).group),
		q.route(get, "/recent-tasks", "recentTasks", (*call).recent),
		q.route(get, "/pending/{taskQueueId:.+}", "pendingTasks", (*call).pending),
		q.route(post, "/claim-work/{taskQueueId:.+}", "claimWork", (*call).claimWork),
		q.route(post, "/task/{taskId}/runs/{runId}/reclaim", "reclaimTask", (*call).reclaim),
		q.route(post, "/task/{taskId}/runs/{runId}/completed", "reportCompleted", (*call).reportCompleted),
		q.route(post, "/task/{taskId}/runs/{runId}/failed", "reportFailed", (*call).reportFailed),
		q.route(post, "/task/{taskId}/runs/{runId}/exception", "reportException", (*call).reportException),
	}
}

// statusAnswer is the answer of most calls about one task.
type statusAnswer struct {
	Status ledger.Status `json:"status"`
}

func answerStatus(s ledger.Status, err error) (any, error) {
	return statusAnswer{Status: s}, err
}

func (c *call) task() (any, error) {
	if err := c.Need(hawk.Scope("queue:get-task:", c.Params["taskId"])); err != nil {
		return nil, err
	}
	return c.ledger.Definition(c.Params["taskId"])
}

func (c *call) status() (any, error) {
	if err := c.Need(hawk.Scope("queue:status:", c.Params["taskId"])); err != nil {
		return nil, err
	}
	return answerStatus(c.ledger.Status(c.Params["taskId"]))
}

func (c *call) createTask() (any, error) {
	d, err := parseTask(c.Params["taskId"], c.Body)
	if err != nil {
		return nil, err
	}
	if err := c.Need(creationScopes(d)); err != nil {
		return nil, err
	}
	return answerStatus(c.ledger.Create(c.Request.Context(), c.Params["taskId"], d))
}

func parseTask(taskID string, body []byte) (*taskdef.Definition, error) {
	if !json.Valid(body) {
		return nil, rest.Refuse(http.StatusBadRequest, rest.MalformedPayload, "the task definition is not valid JSON")
	}
	d, err := taskdef.Parse(taskID, body, time.Now())
	if invalid, is := errors.AsType[*taskdef.Invalid](err); is {
		code := rest.InputError
		if invalid.Schema {
			code = rest.InvalidDocument
		}
		return nil, rest.Refuse(http.StatusBadRequest, code, "%v", err)
	}
	return d, err
}

func creationScopes(d *taskdef.Definition) hawk.Expression {
	all := append(hawk.Each("", d.Scopes), hawk.Each("queue:route:", d.Routes)...)
	var priorities []hawk.Expression
	for _, p := range taskdef.AtLeast(d.Priority) {
		priorities = append(priorities, hawk.Scope("queue:create-task:", p, ":", d.TaskQueueID))
	}
	return hawk.AllOf(append(
		all,
		hawk.Scope("queue:create-task:project:", d.ProjectID),
		hawk.Scope("queue:scheduler-id:", d.SchedulerID),
		hawk.AnyOf(priorities...),
	)...)
}

func (c *call) schedule() (any, error) { return c.control("schedule-task", c.ledger.Schedule) }
func (c *call) rerun() (any, error)    { return c.control("rerun-task", c.ledger.Rerun) }
func (c *call) cancel() (any, error)   { return c.control("cancel-task", c.ledger.Cancel) }

// control does to the task what its verb says if the caller may.
func (c *call) control(verb string, do func(context.Context, string) (ledger.Status, error)) (any, error) {
	s, err := c.ledger.Status(c.Params["taskId"])
	if err != nil {
		return nil, err
	}
	group := s.SchedulerID + "/" + s.TaskGroupID
	err = c.Need(hawk.AnyOf(
		hawk.Scope("queue:", verb, ":", group, "/", s.TaskID),
		hawk.Scope("queue:", verb, "-in-project:", s.ProjectID),
		hawk.AllOf(hawk.Scope("queue:", verb), hawk.Scope("assume:scheduler-id:", group)),
	))
	if err != nil {
		return nil, err
	}
	return answerStatus(do(c.Request.Context(), s.TaskID))
}

// taskList is the answer of calls that list tasks.
type taskList struct {
	TaskGroupID       string          `json:"taskGroupId,omitempty"`
	TaskID            string          `json:"taskId,omitempty"`
	Tasks             []ledger.Listed `json:"tasks"`
	ContinuationToken string          `json:"continuationToken,omitempty"`
}

func (c *call) group() (any, error) {
	id := c.Params["taskGroupId"]
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	if err := c.Need(hawk.Scope("queue:list-task-group:", id)); err != nil {
		return nil, err
	}
	tasks, next, err := c.ledger.Group(id, page)
	return taskList{TaskGroupID: id, Tasks: tasks, ContinuationToken: next}, err
}

// mostRecent is how many tasks recentTasks lists.
const mostRecent = 100

// recent answers a call that Taskcluster does not have: on one machine a person
// may ask for all tasks.
func (c *call) recent() (any, error) {
	if err := c.Need(hawk.Scope("queue:list-task-group:", "*")); err != nil {
		return nil, err
	}
	type entry struct {
		Status tcqueue.TaskStatusStructure `json:"status"`
	}
	tasks, err := c.Recent(c.Request.Context(), mostRecent)
	listed := make([]entry, len(tasks))
	for i, status := range tasks {
		listed[i].Status = status
	}
	return map[string]any{"tasks": listed}, err
}

func (c *call) dependents() (any, error) {
	id := c.Params["taskId"]
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	if err := c.Need(hawk.Scope("queue:list-dependent-tasks:", id)); err != nil {
		return nil, err
	}
	tasks, next, err := c.ledger.Dependents(id, page)
	return taskList{TaskID: id, Tasks: tasks, ContinuationToken: next}, err
}

func (c *call) pending() (any, error) {
	id := c.Params["taskQueueId"]
	if err := c.Need(hawk.Scope("queue:pending-count:", id)); err != nil {
		return nil, err
	}
	n, err := c.ledger.Pending(id)
	provisioner, workerType, _ := strings.Cut(id, "/")
	return map[string]any{
		"provisionerId": provisioner, "workerType": workerType, "taskQueueId": id, "pendingTasks": n,
	}, err
}
