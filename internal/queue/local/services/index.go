package services

import (
	"encoding/json"
	"net/http"
	"strings"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
)

const (
	indexKind    = "indexed task"
	maxNamespace = 255
)

func (s *Services) indexRoutes() []rest.Route {
	const get, put = http.MethodGet, http.MethodPut
	return []rest.Route{
		s.route(get, "/task/{indexPath}", "findTask", (*call).findTask),
		s.route(put, "/task/{namespace}", "insertTask", (*call).insertTask),
		s.route(http.MethodDelete, "/task/{namespace}", "deleteTask", (*call).deleteTask),
		s.route(get, "/task/{indexPath}/artifacts/{name:.+}", "findArtifactFromTask", (*call).findArtifact),
		s.route(get, "/tasks/{namespace}", "listTasks", (*call).listIndexed),
		s.route(get, "/tasks/", "listTasks", (*call).listIndexed),
		s.route(get, "/tasks", "listTasks", (*call).listIndexed),
		s.route(get, "/namespaces/{namespace}", "listNamespaces", (*call).listNamespaces),
		s.route(get, "/namespaces/", "listNamespaces", (*call).listNamespaces),
		s.route(get, "/namespaces", "listNamespaces", (*call).listNamespaces),
	}
}

// indexed is a task as the index answers it.
type indexed struct {
	Namespace string          `json:"namespace"`
	TaskID    string          `json:"taskId"`
	Rank      float64         `json:"rank"`
	Data      json.RawMessage `json:"data"`
	Expires   tcclient.Time   `json:"expires"`
}

type insertRequest struct {
	TaskID  string          `json:"taskId"`
	Rank    *float64        `json:"rank"`
	Data    json.RawMessage `json:"data"`
	Expires *tcclient.Time  `json:"expires"`
}

func (r *insertRequest) Problems() rest.Problems {
	var p rest.Problems
	p.Check(rest.SlugForm().MatchString(r.TaskID), "/taskId", "must be a task id")
	p.Check(r.Rank != nil, "/rank", "is missing")
	p.Check(isObject(r.Data), "/data", "must be an object")
	p.Check(r.Expires != nil, "/expires", "is missing")
	return p
}

// entryName is the key of an index path: its namespace and its last part,
// apart from each other so that a namespace's own tasks are together.
func entryName(path string) string {
	dot := strings.LastIndex(path, ".")
	return path[:max(dot, 0)] + "\x00" + path[dot+1:]
}

func (c *call) findIndexed() (indexed, error) {
	var found indexed
	e, err := c.Store.Entry(indexKind, entryName(c.Params["indexPath"]))
	if err != nil {
		return found, rest.Refuse(http.StatusNotFound, rest.NotFound, "no task is indexed as %s", c.Params["indexPath"])
	}
	return found, json.Unmarshal(e.Value, &found)
}

func (c *call) findTask() (any, error) {
	if err := c.Need(hawk.Scope("index:find-task:", c.Params["indexPath"])); err != nil {
		return nil, err
	}
	return c.findIndexed()
}

func (c *call) insertTask() (any, error) {
	path := c.Params["namespace"]
	if err := c.Need(hawk.Scope("index:insert-task:", path)); err != nil {
		return nil, err
	}
	var r insertRequest
	if err := c.Decode(&r); err != nil {
		return nil, err
	}
	if len(path) > maxNamespace {
		return nil, rest.Refuse(http.StatusBadRequest, rest.InvalidArguments, "the namespace is longer than %d characters", maxNamespace)
	}
	task := indexed{Namespace: path, TaskID: r.TaskID, Rank: *r.Rank, Data: r.Data, Expires: *r.Expires}
	err := c.Store.ChangeEntry(c.Request.Context(), indexKind, entryName(path), func(old *disk.Entry) (*disk.Entry, error) {
		var kept indexed
		if old != nil && json.Unmarshal(old.Value, &kept) == nil && kept.Rank > task.Rank {
			task = kept
			return old, nil
		}
		value, err := json.Marshal(task)
		return &disk.Entry{Value: value, Expires: task.Expires}, err
	})
	return task, err
}

func (c *call) deleteTask() (any, error) {
	path := c.Params["namespace"]
	if err := c.Need(hawk.Scope("index:delete-task:", path)); err != nil {
		return nil, err
	}
	return struct{}{}, c.Store.ChangeEntry(c.Request.Context(), indexKind, entryName(path), func(*disk.Entry) (*disk.Entry, error) { return nil, nil })
}

// findArtifact leads to an artifact of the latest run of an indexed task.
func (c *call) findArtifact() (any, error) {
	if err := c.Need(hawk.Scope("queue:get-artifact:", c.Params["name"])); err != nil {
		return nil, err
	}
	task, err := c.findIndexed()
	if err != nil {
		return nil, err
	}
	// The redirect answers for the artifact at once: whoever follows it to
	// another call would have to sign that one.
	c.Params = map[string]string{"taskId": task.TaskID, "name": c.Params["name"]}
	return c.Artifact(c.Call)
}

func (c *call) listIndexed() (any, error) {
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	namespace := c.Params["namespace"]
	if err := c.Need(hawk.Scope("index:list-tasks:", namespace)); err != nil {
		return nil, err
	}
	entries, next, err := c.Store.Entries(indexKind, namespace+"\x00", page)
	tasks := make([]json.RawMessage, len(entries))
	for i, e := range entries {
		tasks[i] = e.Value
	}
	return struct {
		Tasks             []json.RawMessage `json:"tasks"`
		ContinuationToken string            `json:"continuationToken,omitempty"`
	}{tasks, next}, err
}

// namespace is part of the index's tree.
type namespace struct {
	Namespace string        `json:"namespace"`
	Name      string        `json:"name"`
	Expires   tcclient.Time `json:"expires"`
}

func (c *call) listNamespaces() (any, error) {
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	parent := c.Params["namespace"]
	if err := c.Need(hawk.Scope("index:list-namespaces:", parent)); err != nil {
		return nil, err
	}
	prefix := ""
	if parent != "" {
		prefix = parent + "."
	}
	children := []namespace{}
	for {
		entries, next, err := c.Store.Entries(indexKind, prefix, page)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			children = addChild(children, prefix, e)
		}
		if next == "" {
			return map[string]any{"namespaces": children}, nil
		}
		page.Token = next
	}
}

// addChild adds the namespace below prefix that the entry is in. Entries of
// one namespace follow each other.
func addChild(children []namespace, prefix string, e disk.Entry) []namespace {
	space, _, _ := strings.Cut(strings.TrimPrefix(e.Name, prefix), "\x00")
	name, _, _ := strings.Cut(space, ".")
	if name == "" {
		return children
	}
	if n := len(children); n > 0 && children[n-1].Name == name {
		if children[n-1].Expires.String() < e.Expires.String() {
			children[n-1].Expires = e.Expires
		}
		return children
	}
	return append(children, namespace{Namespace: prefix + name, Name: name, Expires: e.Expires})
}
