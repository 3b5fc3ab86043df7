package taskdef

import (
	"bytes"
	"encoding/json"
	"reflect"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
)

// priorities in order, the most urgent first.
var priorities = [...]string{"highest", "very-high", "high", "medium", "low", "very-low", "lowest"}

// Rank returns the place of a priority, 0 for the most urgent.
func Rank(priority string) int {
	for i, p := range priorities {
		if p == priority {
			return i
		}
	}
	return len(priorities) - 1
}

// AtLeast returns the given priority and all less urgent ones before it, most
// urgent first: whoever may create any of them may create the given one.
func AtLeast(priority string) []string {
	return priorities[:Rank(priority)+1]
}

// Metadata says what a task is and whom to ask about it.
type Metadata struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Owner       string `json:"owner"`
	Source      string `json:"source"`
}

// Definition is a complete task definition. Encoded as JSON it is what the
// queue's task call answers.
type Definition struct {
	ProvisionerID string            `json:"provisionerId"`
	WorkerType    string            `json:"workerType"`
	TaskQueueID   string            `json:"taskQueueId"`
	SchedulerID   string            `json:"schedulerId"`
	ProjectID     string            `json:"projectId"`
	TaskGroupID   string            `json:"taskGroupId"`
	Dependencies  []string          `json:"dependencies"`
	Requires      string            `json:"requires"`
	Routes        []string          `json:"routes"`
	Priority      string            `json:"priority"`
	Retries       int               `json:"retries"`
	Created       tcclient.Time     `json:"created"`
	Deadline      tcclient.Time     `json:"deadline"`
	Expires       tcclient.Time     `json:"expires"`
	Scopes        []string          `json:"scopes"`
	Payload       json.RawMessage   `json:"payload"`
	Metadata      Metadata          `json:"metadata"`
	Tags          map[string]string `json:"tags"`
	Extra         json.RawMessage   `json:"extra"`
}

// Encode returns the definition as the JSON document to store and to answer.
func (d *Definition) Encode() (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(d)
	return bytes.TrimSpace(b.Bytes()), err
}

// Same tells whether two encoded definitions mean the same.
func Same(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// millis drops what a JSON time of Taskcluster cannot say.
func millis(t time.Time) tcclient.Time { return tcclient.Time(t.UTC().Truncate(time.Millisecond)) }
