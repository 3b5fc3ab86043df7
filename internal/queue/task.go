package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"
)

// CreateTask creates a task from its definition, which is sent byte for byte.
func (c *Client) CreateTask(ctx context.Context, taskID string, definition json.RawMessage) (tcqueue.TaskStatusStructure, error) {
	return c.status(ctx, taskID, &call{name: "createTask", method: http.MethodPut, route: "/task/" + segment(taskID), body: definition})
}

// Task returns a task's definition exactly as the queue sent it.
func (c *Client) Task(ctx context.Context, taskID string) (json.RawMessage, error) {
	var definition json.RawMessage
	err := c.do(ctx, &call{name: "task", method: http.MethodGet, route: "/task/" + segment(taskID), decode: func(a answer) error {
		definition = a.body
		return isObject(a)
	}})
	return definition, err
}

// Status returns the state of a task and its runs.
func (c *Client) Status(ctx context.Context, taskID string) (tcqueue.TaskStatusStructure, error) {
	return c.status(ctx, taskID, &call{name: "status", method: http.MethodGet, route: "/task/" + segment(taskID) + "/status"})
}

// ScheduleTask makes a task pending whatever it depends on.
func (c *Client) ScheduleTask(ctx context.Context, taskID string) (tcqueue.TaskStatusStructure, error) {
	return c.status(ctx, taskID, &call{name: "scheduleTask", method: http.MethodPost, route: "/task/" + segment(taskID) + "/schedule"})
}

// RerunTask adds a run to a resolved task.
func (c *Client) RerunTask(ctx context.Context, taskID string) (tcqueue.TaskStatusStructure, error) {
	return c.status(ctx, taskID, &call{name: "rerunTask", method: http.MethodPost, route: "/task/" + segment(taskID) + "/rerun"})
}

// CancelTask resolves a task as exception, canceled.
func (c *Client) CancelTask(ctx context.Context, taskID string) (tcqueue.TaskStatusStructure, error) {
	return c.status(ctx, taskID, &call{name: "cancelTask", method: http.MethodPost, route: "/task/" + segment(taskID) + "/cancel"})
}

// status makes a call that answers with a task's status.
func (c *Client) status(ctx context.Context, taskID string, k *call) (tcqueue.TaskStatusStructure, error) {
	var status tcqueue.TaskStatusStructure
	k.decode = func(a answer) error {
		var doc tcqueue.TaskStatusResponse
		if err := json.Unmarshal(a.body, &doc); err != nil {
			return err
		}
		status = doc.Status
		return isStatusOf(taskID)(a)
	}
	err := c.do(ctx, k)
	return status, err
}

// isStatusOf refuses answers that are not about the task: a portal or proxy
// answers 200 to everything.
func isStatusOf(taskID string) func(answer) error {
	return func(a answer) error {
		var doc struct {
			Status struct {
				TaskID string `json:"taskId"`
			} `json:"status"`
		}
		if err := json.Unmarshal(a.body, &doc); err != nil {
			return err
		}
		if doc.Status.TaskID != taskID {
			return errors.New("it is not the status of this task")
		}
		return nil
	}
}

// TaskGroup returns the status of every task in a group, in the queue's order.
func (c *Client) TaskGroup(ctx context.Context, taskGroupID string) ([]tcqueue.TaskStatusStructure, error) {
	return c.tasks(ctx, call{name: "listTaskGroup", method: http.MethodGet, route: "/task-group/" + segment(taskGroupID) + "/list"}, taskGroupID)
}

// RecentTasks returns the status of the 100 tasks that were created last, the
// newest first. Queues that are not embedded in generic-worker answer ErrNotFound.
func (c *Client) RecentTasks(ctx context.Context) ([]tcqueue.TaskStatusStructure, error) {
	return c.tasks(ctx, call{name: "recentTasks", method: http.MethodGet, route: "/recent-tasks"}, "")
}

// tasks makes a call that lists tasks, of the group if one is given.
func (c *Client) tasks(ctx context.Context, k call, group string) (all []tcqueue.TaskStatusStructure, err error) {
	err = c.pages(ctx, k, func(a answer) (string, error) {
		var doc tcqueue.ListTaskGroupResponse
		if err := json.Unmarshal(a.body, &doc); err != nil {
			return "", err
		}
		if doc.TaskGroupID != group {
			return "", errors.New("it is not about this task group")
		}
		for _, task := range doc.Tasks {
			all = append(all, task.Status)
		}
		return doc.ContinuationToken, nil
	})
	return all, err
}

// maxPages bounds a list; the queue puts 1000 entries on a page.
const maxPages = 1000

// pages makes a call for each page of a list. page takes one apart and returns
// the token of the next.
func (c *Client) pages(ctx context.Context, k call, page func(answer) (string, error)) error {
	next := ""
	for range maxPages {
		one := k
		if next != "" {
			one.query = url.Values{"continuationToken": {next}}
		}
		one.decode = func(a answer) (err error) {
			next, err = page(a)
			return err
		}
		if err := c.do(ctx, &one); err != nil {
			return err
		}
		if next == "" {
			return nil
		}
	}
	return fmt.Errorf("cannot list %s: more than %d pages", strings.TrimPrefix(k.route, "/"), maxPages)
}
