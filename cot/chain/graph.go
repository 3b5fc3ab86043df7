package chain

import (
	"context"
	"errors"
	"fmt"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/cot/chain/step"
	"github.com/taskcluster/generic-worker/cot/chain/taskgraph"
)

// compare reads the task graph of each decision and action task once, and
// compares with it the tasks they have made.
func (v *verification) compare(ctx context.Context) {
	for _, parent := range v.found {
		if f := parent.files[nameGraph]; f != nil && v.is(parent, KindParent) {
			parent.graph.Set(struct{}{}, v.compareWith(ctx, parent, f))
		}
	}
}

func (v *verification) compareWith(ctx context.Context, parent *link, graph *file) error {
	if !graph.verified() {
		return fmt.Errorf("the task graph of %s is not verified", parent.id)
	}
	r, err := v.store.Open(ctx, graph.path())
	if err != nil {
		return err
	}
	defer r.Close()
	children := map[string]definition.Object{}
	for _, l := range v.found {
		if err := l.fetched.Err(); err == nil && v.policy.Creator(l.defined()) == parent.id && !v.is(l, KindParent) {
			children[l.id] = l.defined()
		}
	}
	rules := taskgraph.Rules{Legacy: v.policy.Profile == GPG, ParentID: parent.id, GroupID: parent.group()}
	results, err := rules.Match(r, children)
	switch {
	case r.Err() != nil:
		return fmt.Errorf("cannot read the task graph of %s: %w", parent.id, r.Err())
	case err != nil:
		return report.Refuse("%v", err)
	}
	for id, result := range results {
		v.links[id].match.Set(result, nil)
	}
	return nil
}

// matches makes the rule that a task is as in its creator's graph: either that
// it has what the graph has, or that it has nothing else.
func matches(extra bool) check {
	return func(_ context.Context, v *verification, l *link) error {
		creator := v.links[v.policy.Creator(l.defined())]
		switch {
		case creator == nil || creator == l:
			return report.Refuse("no decision task of the chain has made it")
		case creator.root:
			return report.Refuse("the task that made it is the one that uses it")
		case !v.is(creator, KindParent):
			return report.Refuse("%s, which made it, is no decision task", creator.id)
		}
		result, err := l.match.Get()
		switch {
		case err != nil:
			return fmt.Errorf("cannot compare with the graph of %s: %w", creator.id, err)
		case result.Missing != "" && extra:
			return errors.New("there is nothing to compare with")
		case result.Missing != "":
			return report.Refuse("%s", result.Missing)
		}
		for _, d := range result.Differences {
			if d.Extra == extra {
				return report.Refuse("%s", d.Reason)
			}
		}
		return nil
	}
}

// parentTask checks a decision or action task against its template.
func parentTask(ctx context.Context, v *verification, l *link) error {
	return v.rebuilt(ctx, l, v.policy)
}

// rebuilt refuses a task that is not what its template makes, by the policy.
func (v *verification) rebuilt(ctx context.Context, l *link, policy *Policy) error {
	if v.Templates == nil {
		return fmt.Errorf("there are no templates to rebuild the task from")
	}
	task := ParentTask{Policy: policy, TaskID: l.id, Definition: l.task.Definition, DecisionID: l.id, Decision: l.task.Definition}
	if v.isAction(l) {
		decision := v.links[l.group()]
		if decision == nil || decision == l || !v.is(decision, KindParent) || v.isAction(decision) {
			return report.Refuse("%s, whose group the action is in, is no decision task of the chain", l.group())
		}
		if err := decision.fetched.Err(); err != nil {
			return fmt.Errorf("the decision task %s is not known: %w", decision.id, step.ErrNotReached)
		}
		task.Action, task.DecisionID, task.Decision = true, decision.id, decision.task.Definition
		var err error
		if task.Parameters, err = v.read(decision, nameParameters); err != nil {
			return err
		}
		if task.Actions, err = v.read(decision, nameActions); err != nil {
			return err
		}
	}
	found, err := v.Templates.Check(ctx, task)
	if err != nil {
		return fmt.Errorf("cannot rebuild the task from its template: %w", err)
	}
	if len(found) > 0 {
		return report.Refuse("%s", describe(found))
	}
	return nil
}

func describe(found []Difference) string {
	text := ""
	for i, d := range found[:min(len(found), 5)] {
		if i > 0 {
			text += "; "
		}
		if d.Path != "" {
			text += d.Path + ": "
		}
		text += d.Reason
	}
	if len(found) > 5 {
		text += fmt.Sprintf("; and %d more", len(found)-5)
	}
	return text
}

// actionGroup refuses an action that works on another group than its own or
// that of its decision task.
func actionGroup(_ context.Context, _ *verification, l *link) error {
	value, there := l.defined().Value("payload", "env", "ACTION_TASK_GROUP_ID")
	if !there || value == l.id || value == l.group() {
		return nil
	}
	return report.Refuse("ACTION_TASK_GROUP_ID is %s, which is neither the action nor its group", definition.Brief(value))
}
