package chain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/cot/chain/step"
	"github.com/taskcluster/generic-worker/cot/chain/taskgraph"
	"github.com/taskcluster/generic-worker/cot/chain/trust"
)

const maxDefinition = 4 << 20 // bytes; a queue takes tasks of a quarter of that

// link is one task of the chain and what is known of it so far.
type link struct {
	id    string
	name  string
	from  string // task id of the link it was found by
	depth int
	root  bool
	types []string

	task    *Task
	fetched step.Outcome[definition.Object]
	run     int // -1: none
	// bounds is what keeps links of this one from being followed.
	bounds error

	implementation step.Outcome[string]
	certificate    step.Outcome[trust.Opened]
	paths          step.Outcome[struct{}] // of the task itself: all upstreamArtifacts are planned
	artifacts      []report.Artifact
	files          map[string]*file               // by artifact name
	graph          step.Outcome[struct{}]         // of a parent: its task graph was read to the end
	match          step.Outcome[taskgraph.Result] // with the graph of its creator
	repository     step.Outcome[trust.Repository]

	answers []report.Rule
	failure error // a fault of the verifier
}

func (l *link) fault(err error) {
	if l.failure == nil {
		l.failure = err
	}
}

func (l *link) defined() definition.Object { return l.fetched.Value() }

// group is the task group, which is named after its decision task.
func (l *link) group() string { return l.defined().Text("taskGroupId") }

// resolved is when the queue says the run was over.
func (l *link) resolved() time.Time {
	if l.task == nil || l.run < 0 {
		return time.Time{}
	}
	return l.task.Runs[l.run].Resolved
}

// is tells whether one of the types the link was found as is of the kind.
func (v *verification) is(l *link, kind Kind) bool {
	return slices.ContainsFunc(l.types, func(t string) bool { return v.policy.TaskTypes[t] == kind })
}

// isAction tells actions from decision tasks.
func (v *verification) isAction(l *link) bool {
	return v.is(l, KindParent) && v.policy.IsAction(l.defined())
}

// typesOf are the types the link is checked as: of a task that makes others,
// the task itself says whether it is a decision or an action.
func (v *verification) typesOf(l *link) []string {
	var types []string
	for _, t := range l.types {
		if v.policy.TaskTypes[t] == KindParent {
			if t = "decision"; v.isAction(l) {
				t = "action"
			}
		}
		types = append(types, t)
	}
	return slices.Compact(slices.Sorted(slices.Values(types)))
}

// checked tells whether the link has a certificate to check: all but the task
// itself, unless that is asked for.
func (v *verification) checked(l *link) bool { return !l.root || v.CheckTask }

// walk finds all links, level by level: the tasks of one level are fetched at
// the same time, and what they name becomes the next. So the names of links
// do not depend on which answer comes first.
func (v *verification) walk(ctx context.Context) {
	root := v.add(want{id: v.TaskID, typ: v.TaskType}, nil)
	for level := []*link{root}; len(level) > 0; {
		v.each(ctx, level, v.fetch)
		var next []*link
		for _, l := range level {
			next = append(next, v.follow(l)...)
		}
		level = next
	}
}

// want is a task that a link names.
type want struct{ id, typ string }

func (v *verification) add(w want, by *link) *link {
	l := &link{id: w.id, name: w.typ, types: []string{w.typ}, root: by == nil, run: -1, files: map[string]*file{}}
	if by != nil {
		l.name, l.from, l.depth = by.name+":"+w.typ, by.id, by.depth+1
	}
	v.links[l.id] = l
	v.found = append(v.found, l)
	return l
}

// follow returns the links that are new. One that is known already is also
// checked as what it is called here.
func (v *verification) follow(l *link) []*link {
	var added []*link
	for _, w := range v.wants(l) {
		known := v.links[w.id]
		switch {
		case known == l: // a task may well name itself
		case known != nil:
			if !slices.Contains(known.types, w.typ) {
				known.types = append(known.types, w.typ)
			}
		case l.depth >= v.policy.Limits.Depth:
			l.bounds = report.Refuse("it names %s, which is more than %d links away from the task; raise the policy's limit of the depth if that is right", w.id, v.policy.Limits.Depth)
		case len(v.found) > v.policy.Limits.Links:
			l.bounds = report.Refuse("it names %s, and the chain has %d other links already; raise the policy's limit of links if that is right", w.id, v.policy.Limits.Links)
		default:
			added = append(added, v.add(w, l))
		}
	}
	return added
}

// wants returns the tasks a link names: first its creator, then its inputs,
// sorted by type and id.
func (v *verification) wants(l *link) []want {
	if err := l.fetched.Err(); err != nil {
		return nil
	}
	inputs, err := l.defined().Inputs()
	if err != nil {
		return nil // the rule about it says so
	}
	upstream, err := l.defined().Upstream()
	if err != nil {
		return nil
	}
	var rest []want
	for name, id := range inputs {
		rest = append(rest, want{id: id, typ: name})
	}
	for _, u := range upstream {
		rest = append(rest, want{id: u.TaskID, typ: u.TaskType})
	}
	slices.SortFunc(rest, func(a, b want) int {
		return cmp.Or(strings.Compare(a.typ, b.typ), strings.Compare(a.id, b.id))
	})
	return append(v.creators(l), rest...)
}

func (v *verification) creators(l *link) []want {
	if v.policy.Profile == GPG {
		if v.is(l, KindParent) {
			return nil
		}
		return []want{{id: l.group(), typ: "decision"}}
	}
	creators := []want{{id: v.policy.Creator(l.defined()), typ: "parent"}}
	if v.isAction(l) && l.group() != creators[0].id {
		creators = append(creators, want{id: l.group(), typ: "parent"})
	}
	return creators
}

// fetch asks for a task and reads its definition.
func (v *verification) fetch(ctx context.Context, l *link) {
	if !definition.IsTaskID(l.id) {
		l.fetched.Set(nil, report.Refuse("%q is no task id", l.id))
		return
	}
	task, err := v.Source.Task(ctx, l.id)
	if err != nil {
		err = fmt.Errorf("cannot get the task: %w", err)
		if errors.Is(err, ErrNotFound) {
			err = report.Refuse("%v", err)
		}
		l.fetched.Set(nil, err)
		return
	}
	if len(task.Definition) > maxDefinition {
		l.fetched.Set(nil, report.Refuse("the definition has more than %d bytes", maxDefinition))
		return
	}
	l.task, l.run = task, len(task.Runs)-1
	o, err := definition.Parse(task.Definition)
	if err != nil {
		l.fetched.Set(nil, report.Refuse("%v", err))
		return
	}
	l.fetched.Set(o, nil)
	l.implementation.Set(v.policy.Implementation(o))
}
