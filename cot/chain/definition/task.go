package definition

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
)

// Pool returns the pool of a task, as in provisionerId/workerType.
func (o Object) Pool() string {
	if o.Has("provisionerId") || o.Has("workerType") {
		return o.Text("provisionerId") + "/" + o.Text("workerType")
	}
	return o.Text("taskQueueId")
}

// Scopes returns the scopes of a task, nil if they are no list of texts.
func (o Object) Scopes() []string {
	scopes, _ := o.Texts("scopes")
	return scopes
}

var slug = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`) })

// IsTaskID tells whether a text has the form of a task id.
func IsTaskID(text string) bool { return slug().MatchString(text) }

// Inputs returns the tasks in extra.chainOfTrust.inputs by name, which is their
// type.
func (o Object) Inputs() (map[string]string, error) {
	value, there := o.Value("extra", "chainOfTrust", "inputs")
	if !there {
		return nil, nil
	}
	list, ok := value.(Object)
	if !ok {
		return nil, fmt.Errorf("/extra/chainOfTrust/inputs is no object")
	}
	inputs := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		id, _ := list[name].(string)
		if !IsTaskID(id) {
			return nil, fmt.Errorf("/extra/chainOfTrust/inputs/%s is no task id", name)
		}
		inputs[name] = id
	}
	return inputs, nil
}

// Upstream is one entry of the payload's upstreamArtifacts.
type Upstream struct {
	TaskID, TaskType string
	Paths            []string
	Optional         bool
}

// Upstream returns the payload's upstreamArtifacts.
func (o Object) Upstream() ([]Upstream, error) {
	value, there := o.Value("payload", "upstreamArtifacts")
	if !there {
		return nil, nil
	}
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("/payload/upstreamArtifacts is no list")
	}
	var all []Upstream
	for i, value := range list {
		entry, _ := value.(Object)
		u := Upstream{TaskID: entry.Text("taskId"), TaskType: entry.Text("taskType"), Optional: Truthy(entry["optional"])}
		if u.Paths, ok = entry.Texts("paths"); !ok || !IsTaskID(u.TaskID) || u.TaskType == "" {
			return nil, fmt.Errorf("/payload/upstreamArtifacts/%d has no taskId, taskType or list of paths", i)
		}
		all = append(all, u)
	}
	return all, nil
}

// Brief returns a value in quotes, cut if it is long, for a text that people
// read.
func Brief(value any) string {
	text := fmt.Sprint(value)
	const longest = 200
	if len(text) > longest {
		return fmt.Sprintf("%q…", text[:longest])
	}
	return fmt.Sprintf("%q", text)
}
