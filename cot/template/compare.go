package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/definition"
)

// Comparison is what comparing a task with the rebuilt one gave.
type Comparison struct {
	// Differences is empty if the task is as its repository wants it. There are
	// at most 20.
	Differences []chain.Difference
	// Ignored are members of the task that were not compared, because they say
	// no more than that they are not there, as paths.
	Ignored []string
}

const (
	maxDifferences = 20
	maxShown       = 80 // bytes of a value
)

// closest compares the task with each rebuilt one. It has to be equal to one
// of them; if it is not, the one with the fewest differences tells best what is wrong.
func (p *parent) closest(rebuilt []definition.Object) Comparison {
	var best Comparison
	for i, task := range rebuilt {
		compared := Compare(task, p.task, p.Policy.Compat)
		if i == 0 || len(compared.Differences) < len(best.Differences) {
			best = compared
		}
	}
	return best
}

// Compare compares the definition of a task that ran with a rebuilt one.
//
// The rebuilt one may have a taskId. A projectId that is not there is none, and
// provisionerId and workerType are the two halves of taskQueueId. Members that
// are null or an empty object or list count as not there, in both. So does the text
// "null", which JSON-e makes of null, where the other definition has such a member.
//
// With compat, "null" never counts as there, neither do such values in lists, and
// provisionerId and workerType are not looked at beside a taskQueueId: that is
// how the Python verifier compares.
func Compare(rebuilt, runtime definition.Object, compat bool) Comparison {
	rebuilt = maps.Clone(rebuilt)
	delete(rebuilt, "taskId")
	c := comparer{compat: compat}
	left, right := c.whole(rebuilt, "the rebuilt task"), c.whole(runtime, "the task")
	if len(c.found) == 0 {
		c.objects("", left, right)
	}
	slices.Sort(c.ignored)
	return Comparison{Differences: c.found, Ignored: c.ignored}
}

type comparer struct {
	compat  bool
	found   []chain.Difference
	ignored []string
}

func (c *comparer) add(path, format string, args ...any) {
	if len(c.found) < maxDifferences {
		c.found = append(c.found, chain.Difference{Path: path, Reason: fmt.Sprintf(format, args...)})
	}
}

// whole returns a definition with projectId and taskQueueId only.
func (c *comparer) whole(task definition.Object, name string) definition.Object {
	task = maps.Clone(task)
	if _, ok := task["projectId"]; !ok {
		task["projectId"] = "none"
	}
	provisioner, hasProvisioner := task["provisionerId"].(string)
	worker, hasWorker := task["workerType"].(string)
	queue, hasQueue := task["taskQueueId"]
	switch {
	case !hasQueue && hasProvisioner && hasWorker:
		task["taskQueueId"] = provisioner + "/" + worker
	case !hasQueue:
		c.add("/taskQueueId", "%s has neither taskQueueId nor both provisionerId and workerType", name)
	case !c.compat && (hasProvisioner || hasWorker) && queue != provisioner+"/"+worker:
		c.add("/taskQueueId", "%s says %s there, and %s with provisionerId and workerType", name, show(queue), quote(provisioner+"/"+worker))
	}
	delete(task, "provisionerId")
	delete(task, "workerType")
	return task
}

// values compares two values that are there.
func (c *comparer) values(path string, rebuilt, runtime any) {
	switch left := rebuilt.(type) {
	case definition.Object:
		if right, ok := runtime.(definition.Object); ok {
			c.objects(path, left, right)
			return
		}
	case []any:
		if right, ok := runtime.([]any); ok {
			c.lists(path, left, right)
			return
		}
	case string:
		if right, ok := runtime.(string); ok && sameText(left, right) {
			return
		}
	default:
		if definition.Equal(rebuilt, runtime) {
			return
		}
	}
	c.add(path, "is %s, the template says %s", show(runtime), show(rebuilt))
}

func (c *comparer) objects(path string, rebuilt, runtime definition.Object) {
	names := maps.Clone(rebuilt)
	maps.Copy(names, runtime)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		left, inLeft := rebuilt[name]
		right, inRight := runtime[name]
		at := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		noLeft := !inLeft || isNothing(left) || left == "null" && c.isNull(right, inRight)
		noRight := !inRight || isNothing(right) || right == "null" && c.isNull(left, inLeft)
		switch {
		case noLeft && noRight:
			if inRight {
				c.ignored = append(c.ignored, at)
			}
		case noLeft:
			c.add(at, "is %s, the template has nothing there", show(right))
		case noRight:
			c.add(at, "is not there, the template says %s", show(left))
		default:
			c.values(at, left, right)
		}
	}
}

// isNull tells whether the text "null" may stand for nothing, if this is on the
// other side.
func (c *comparer) isNull(other any, isThere bool) bool {
	return c.compat || isThere && isNothing(other)
}

func (c *comparer) lists(path string, rebuilt, runtime []any) {
	if c.compat {
		rebuilt, runtime = slices.DeleteFunc(slices.Clone(rebuilt), isEmpty), slices.DeleteFunc(slices.Clone(runtime), isEmpty)
	}
	for i := range max(len(rebuilt), len(runtime)) {
		at := path + "/" + strconv.Itoa(i)
		switch {
		case i >= len(rebuilt):
			c.add(at, "is %s, the template's list ends before", show(runtime[i]))
		case i >= len(runtime):
			c.add(at, "is not there, the template says %s", show(rebuilt[i]))
		case isNothing(rebuilt[i]) != isNothing(runtime[i]):
			c.add(at, "is %s, the template says %s", show(runtime[i]), show(rebuilt[i]))
		default:
			c.values(at, rebuilt[i], runtime[i])
		}
	}
}

// isNothing tells whether a value says no more than that it is not there.
func isNothing(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case definition.Object:
		return len(value) == 0
	case []any:
		return len(value) == 0
	}
	return false
}

// isEmpty is isNothing as the Python verifier has it.
func isEmpty(value any) bool { return value == "null" || isNothing(value) }

// sameText compares texts. The JSON-e used here writes five characters in the
// texts it makes with $json in a longer way than the ones the tasks are made
// with; to JSON it is the same.
func sameText(rebuilt, runtime string) bool {
	if rebuilt == runtime {
		return true
	}
	if !strings.Contains(rebuilt, `\u`) {
		return false
	}
	short := strings.NewReplacer(`\\`, `\\`, `\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `\u2028`, "\u2028", `\u2029`, "\u2029")
	return json.Valid([]byte(rebuilt)) && short.Replace(rebuilt) == runtime
}

// show returns a value for people.
func show(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("a value of type %T", value)
	}
	if len(text) <= maxShown {
		return string(text)
	}
	return strings.ToValidUTF8(string(text[:maxShown]), "") + "…"
}

// quote returns a text from outside for people.
func quote(text string) string { return show(text) }
