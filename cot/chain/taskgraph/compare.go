// Package taskgraph compares tasks with the graph that their decision or action
// task has published. It says what differs; what follows from that is for package
// chain.
package taskgraph

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
)

// Rules say how a task is compared with its entry.
type Rules struct {
	// Legacy ignores when artifacts of the payload expire, and lets a task
	// depend on nothing but its decision task. Otherwise relative dates in the
	// graph are counted from when the task was created, and the project and the
	// priority may differ.
	Legacy bool
	// ParentID is the task the graph is from, GroupID the group its tasks are in.
	ParentID, GroupID string
}

// Difference is something that is not in the task as it is in the graph.
type Difference struct {
	Reason string
	// Extra says that the task has something the graph does not mention, rather
	// than something else than what it mentions.
	Extra bool
}

// What may differ: always, and if the rules are not Legacy.
var (
	ignored    = []string{"created", "deadline", "dependencies", "expires", "schedulerId"}
	ignoredNow = []string{"projectId", "taskQueueId", "priority"}
)

// Compare returns what differs between a task and its entry.
func (r Rules) Compare(graph, task definition.Object) []Difference {
	var found []Difference
	add := func(extra bool, format string, args ...any) {
		found = append(found, Difference{Reason: fmt.Sprintf(format, args...), Extra: extra})
	}
	ignore := slices.Concat(ignored, ignoredNow)
	if r.Legacy {
		ignore = ignored
		graph, task = withoutArtifactExpiry(graph), withoutArtifactExpiry(task)
	}
	for _, name := range slices.Sorted(maps.Keys(graph)) {
		if slices.Contains(ignore, name) {
			continue
		}
		want, err := r.resolve(graph[name], task.Text("created"))
		if err != nil {
			add(false, "/%s: %v", name, err)
			continue
		}
		value, there := task[name]
		if !there {
			add(false, "/%s is in the graph and not in the task", name)
			continue
		}
		if path, differ := definition.Diff(want, value); differ {
			add(false, "/%s%s is not as in the graph", name, path)
		}
	}
	if reason := r.dependencies(graph, task); reason != "" {
		add(false, "%s", reason)
	}
	for _, name := range slices.Sorted(maps.Keys(task)) {
		if _, there := graph[name]; !there && !slices.Contains(ignore, name) && !r.usual(name, task) {
			add(true, "/%s is in the task and not in the graph", name)
		}
	}
	if pool := graph.Text("taskQueueId"); pool != "" && !r.Legacy && pool != task.Pool() {
		add(true, "the task is for pool %s, in the graph it is for %s", task.Pool(), pool)
	}
	return found
}

// usual tells whether a member is what a queue adds to every task, with the
// value it adds.
func (r Rules) usual(name string, task definition.Object) bool {
	value := task[name]
	switch name {
	case "taskGroupId":
		return value == r.GroupID || value == r.ParentID
	case "taskQueueId":
		return value == task.Text("provisionerId")+"/"+task.Text("workerType")
	case "provisionerId", "workerType":
		pool, there := task["taskQueueId"]
		return there && pool == task.Pool()
	case "projectId":
		return value == "none"
	case "requires":
		return value == "all-completed"
	case "priority":
		return value == "lowest" || value == "normal"
	case "retries":
		return definition.Equal(value, json.Number("5"))
	case "routes", "scopes":
		return definition.Equal(value, []any{})
	case "tags", "extra":
		return definition.Equal(value, definition.Object{})
	}
	return false
}

func (r Rules) dependencies(graph, task definition.Object) string {
	has, ok := task.Texts("dependencies")
	if !ok {
		return "/dependencies of the task is no list of task ids"
	}
	wants, ok := graph.Texts("dependencies")
	if !ok {
		return "/dependencies in the graph is no list of task ids"
	}
	if r.Legacy && slices.Equal(has, []string{r.GroupID}) {
		return ""
	}
	for _, id := range has {
		own := !r.Legacy && (id == r.GroupID || id == r.ParentID)
		if !own && !slices.Contains(wants, id) {
			return fmt.Sprintf("/dependencies has %s, which the graph does not have", id)
		}
	}
	return ""
}

// withoutArtifactExpiry returns a copy whose payload does not say when
// artifacts expire.
func withoutArtifactExpiry(task definition.Object) definition.Object {
	artifacts, there := task.Value("payload", "artifacts")
	if !there {
		return task
	}
	switch old := artifacts.(type) {
	case definition.Object:
		kept := definition.Object{}
		for name, entry := range old {
			kept[name] = withoutExpiry(entry)
		}
		artifacts = kept
	case []any:
		kept := make([]any, 0, len(old))
		for _, entry := range old {
			kept = append(kept, withoutExpiry(entry))
		}
		artifacts = kept
	}
	payload := maps.Clone(task.Object("payload"))
	payload["artifacts"] = artifacts
	task = maps.Clone(task)
	task["payload"] = payload
	return task
}

func withoutExpiry(entry any) any {
	o, ok := entry.(definition.Object)
	if !ok {
		return entry
	}
	o = maps.Clone(o)
	delete(o, "expires")
	return o
}

// resolve returns a value of the graph with its relative dates counted from
// when the task was created.
func (r Rules) resolve(value any, created string) (any, error) {
	if r.Legacy {
		return value, nil
	}
	switch value := value.(type) {
	case definition.Object:
		if offset, there := value["relative-datestamp"]; there && len(value) == 1 {
			return date(offset, created)
		}
		resolved := definition.Object{}
		for name, inner := range value {
			var err error
			if resolved[name], err = r.resolve(inner, created); err != nil {
				return nil, err
			}
		}
		return resolved, nil
	case []any:
		resolved := make([]any, len(value))
		for i, inner := range value {
			var err error
			if resolved[i], err = r.resolve(inner, created); err != nil {
				return nil, err
			}
		}
		return resolved, nil
	}
	return value, nil
}

// date returns a time in the form that tasks have it in, with milliseconds.
func date(offset any, created string) (any, error) {
	text, ok := offset.(string)
	if !ok {
		return nil, fmt.Errorf("the relative date %v is no text", offset)
	}
	from, err := time.Parse(time.RFC3339, created)
	if err != nil {
		return nil, fmt.Errorf("the task's creation time %q is none", created)
	}
	after, err := span(text)
	if err != nil {
		return nil, err
	}
	return from.Add(after).UTC().Format("2006-01-02T15:04:05.000Z"), nil
}

var units = []struct {
	names []string
	size  time.Duration
}{
	{[]string{"years", "year", "yr", "y"}, 365 * 24 * time.Hour},
	{[]string{"months", "month", "mo"}, 30 * 24 * time.Hour},
	{[]string{"weeks", "week", "wk", "w"}, 7 * 24 * time.Hour},
	{[]string{"days", "day", "d"}, 24 * time.Hour},
	{[]string{"hours", "hour", "h"}, time.Hour},
	{[]string{"minutes", "minute", "mins", "min", "m"}, time.Minute},
	{[]string{"seconds", "second", "sec", "s"}, time.Second},
}

// span reads texts such as "28 days" and "1 year 2h".
func span(text string) (time.Duration, error) {
	wrong := fmt.Errorf("the relative date %q is not like \"28 days\"", text)
	var sum time.Duration
	rest := strings.TrimSpace(text)
	for first := true; first || rest != ""; first = false {
		letters := strings.TrimLeft(rest, "0123456789")
		digits := rest[:len(rest)-len(letters)]
		letters = strings.TrimLeft(letters, " ")
		rest = strings.TrimLeft(letters, "abcdefghijklmnopqrstuvwxyz")
		size := unit(letters[:len(letters)-len(rest)])
		if digits == "" || len(digits) > 9 || size == 0 {
			return 0, wrong
		}
		var count int64
		for _, digit := range digits {
			count = 10*count + int64(digit-'0')
		}
		const longest = 100 * 365 * 24 * time.Hour // more is no date, and overflows
		if count > int64(longest/size) {
			return 0, wrong
		}
		if sum += time.Duration(count) * size; sum > longest {
			return 0, wrong
		}
		rest = strings.TrimLeft(rest, " ")
	}
	return sum, nil
}

func unit(name string) time.Duration {
	for _, u := range units {
		if slices.Contains(u.names, name) {
			return u.size
		}
	}
	return 0
}
