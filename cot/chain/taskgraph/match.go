package taskgraph

import (
	"fmt"
	"io"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
)

// Result is how a task compares with a graph.
type Result struct {
	// Missing says why there is nothing in the graph to compare with.
	Missing string
	// Differences are those from the task's own entry.
	Differences []Difference
}

// Match reads a graph once and compares tasks, given by task id, with it. A
// task whose id is not in the graph may, under Legacy rules, be equal to any
// entry: it is what a retrigger has made.
func (r Rules) Match(graph io.Reader, tasks map[string]definition.Object) (map[string]Result, error) {
	candidates := make(map[string]*candidate, len(tasks))
	for id, task := range tasks {
		candidates[id] = &candidate{task: task}
	}
	err := Each(graph, func(entry Entry) error {
		own := candidates[entry.TaskID]
		if own == nil && !r.Legacy {
			return nil // so that most of a graph is never looked into
		}
		task, err := entry.Task()
		if own != nil {
			own.compareOwn(task, err, r)
		}
		for id, c := range candidates {
			if r.Legacy && err == nil && id != entry.TaskID {
				c.compareOther(task, r)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	results := make(map[string]Result, len(tasks))
	for id, c := range candidates {
		results[id] = c.result(r)
	}
	return results, nil
}

// candidate is a task on its way through a graph.
type candidate struct {
	task     definition.Object
	there    bool // the graph has its task id
	unusable string
	exact    []Difference
	// alike and nearly tell whether another entry is equal, with and without
	// heed of what only the task has.
	alike, nearly bool
}

func (c *candidate) compareOwn(task definition.Object, err error, rules Rules) {
	c.there = true
	if err != nil {
		c.unusable = err.Error()
		return
	}
	c.exact = rules.Compare(task, c.task)
}

func (c *candidate) compareOther(task definition.Object, rules Rules) {
	if c.there || c.alike {
		return
	}
	extra, rest := 0, 0
	for _, d := range rules.Compare(task, c.task) {
		if d.Extra {
			extra++
		} else {
			rest++
		}
	}
	c.nearly = c.nearly || rest == 0
	c.alike = c.alike || rest+extra == 0
}

func (c *candidate) result(rules Rules) Result {
	switch {
	case c.there:
		return Result{Missing: c.unusable, Differences: c.exact}
	case c.alike:
		return Result{}
	case c.nearly:
		return Result{Differences: []Difference{{Reason: "the only entry of the graph that is otherwise equal lacks something that is in the task", Extra: true}}}
	case rules.Legacy:
		return Result{Missing: fmt.Sprintf("the graph of %s has neither the task nor one that is equal to it", rules.ParentID)}
	}
	return Result{Missing: fmt.Sprintf("the graph of %s does not have the task", rules.ParentID)}
}
