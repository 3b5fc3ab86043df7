package osgroups

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strings"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/task"
)

const scope = "generic-worker:os-group:"

type feature struct{}

// New returns the feature.
func New() features.Feature { return feature{} }

// Name returns "osGroups".
func (feature) Name() string { return "osGroups" }

// Attach refuses a run whose payload names a group that commands would not be in.
func (feature) Attach(run *task.Run) (features.Hooks, error) {
	groups := run.Payload.OSGroups
	if len(groups) == 0 {
		return features.Hooks{}, nil
	}
	var hooks features.Hooks
	var problems []string
	for i, group := range groups {
		hooks.Scopes = append(hooks.Scopes, scope+run.Definition.ProvisionerID+"/"+run.Definition.WorkerType+"/"+group)
		problem, err := check(group)
		if err != nil {
			return features.Hooks{}, err
		}
		if problem != "" {
			problems = append(problems, fmt.Sprintf("/osGroups/%d: %s", i, problem))
		}
	}
	if len(problems) > 0 {
		return features.Hooks{}, task.Errorf(task.MalformedPayload, "[osGroups] the task cannot have its groups:\n%s", strings.Join(problems, "\n"))
	}
	hooks.Prepare = func(context.Context) error {
		run.Log.Info("[osGroups] Commands run as %s, who is in %s", name(), strings.Join(groups, ", "))
		return nil
	}
	return hooks, nil
}

// check returns why commands are not in a group, or "".
func check(group string) (problem string, err error) {
	in, err := member(group)
	if _, unknown := errors.AsType[user.UnknownGroupError](err); unknown {
		return fmt.Sprintf("this machine has no group %q; remove it, or ask the owner of the pool to make it and to put %s into it", group, name()), nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot find out about the group %q: %w", group, err)
	}
	if !in {
		problem = fmt.Sprintf("commands run as %s, who is not in the group %q; remove it, or ask the owner of the pool to put %[1]s into it and to start the worker again",
			name(), group)
	}
	return problem, nil
}

// name is the user that commands run as.
func name() string {
	current, err := user.Current()
	if err != nil {
		return "the worker's user"
	}
	return current.Username
}
