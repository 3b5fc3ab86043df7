package template

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/template/render"
)

// actionJob makes the job of an action task out of that of its decision task.
//
// An action is a hook: the decision task publishes in actions.json what
// triggers it, a template of its own, whose result is the payload that the hook
// renders the repository's template with.
func (c *Checker) actionJob(ctx context.Context, p *parent, job *render.Job) error {
	if p.head.Repository.Kind == Mercurial {
		if p.tasksFor != forAction {
			return refusef("it was made for %s, an event that a repository on %s cannot have", quote(p.tasksFor), p.head.Repository.Host)
		}
		if _, err := c.project(p); err != nil {
			return err
		}
	}
	action, err := p.action()
	if err != nil {
		return err
	}
	now, err := p.now()
	if err != nil {
		return err
	}
	payload, err := c.hookPayload(ctx, p, action)
	if err != nil {
		return err
	}
	permission, err := permissionOf(action)
	if err != nil {
		return err
	}
	if job.Let, err = json.Marshal(hookDefinitions(p.tasksFor, permission)); err != nil {
		return err
	}
	clientID, _ := p.task.Value("extra", "action", "context", "clientId")
	job.Context, err = encoded(values{
		"payload": payload, "taskId": p.TaskID, "now": now, "clientId": clientID,
	})
	return err
}

// action returns the entry of actions.json for the task's callback.
func (p *parent) action() (definition.Object, error) {
	file, err := definition.Parse(p.Actions)
	if err != nil {
		return nil, refusef("the actions.json of its decision task: %w", err)
	}
	callback := p.task.Text("payload", "env", "ACTION_CALLBACK")
	for _, entry := range file.List("actions") {
		action, _ := entry.(definition.Object)
		if name, ok := callbackOf(action); !ok || callback == "" || name != callback {
			continue
		}
		if kind := action.Text("kind"); kind != "hook" {
			return nil, refusef("its action is of kind %s, only hooks can be rebuilt", quote(kind))
		}
		return action, nil
	}
	return nil, refusef("the actions.json of its decision task has no action with its ACTION_CALLBACK %s", quote(callback))
}

func callbackOf(action definition.Object) (string, bool) {
	value, _ := action.Value("hookPayload", "decision", "action", "cb_name")
	name, ok := value.(string)
	return name, ok
}

// hookPayload renders what the hook was triggered with. The input is what a
// person chose, so only the task itself has it.
func (c *Checker) hookPayload(ctx context.Context, p *parent, action definition.Object) (any, error) {
	given := p.task.Object("extra", "action", "context")
	for _, name := range []string{"input", "taskId"} {
		if !given.Has(name) {
			return nil, refusef("it has no /extra/action/context/%s", name)
		}
	}
	text, err := json.Marshal(action["hookPayload"])
	if err != nil {
		return nil, err
	}
	about := values{"input": given["input"], "taskId": given["taskId"], "taskGroupId": p.DecisionID}
	job := render.Job{Template: text}
	// The parameters of a git repository's task would be what it says itself.
	if p.Policy.Compat && p.head.Repository.Kind == GitHub {
		about["parameters"] = given["parameters"]
	} else {
		job.Texts = map[string][]byte{"parameters": p.Parameters}
	}
	if job.Context, err = encoded(about); err != nil {
		return nil, err
	}
	result, err := c.Renderer.Render(ctx, job)
	if err != nil {
		return nil, err
	}
	return result, nil
}

// permissionOf returns what the action's scope ends with.
func permissionOf(action definition.Object) (string, error) {
	for _, path := range [][]string{{"extra", "actionPerm"}, {"actionPerm"}} {
		switch permission, _ := action.Value(path...); permission := permission.(type) {
		case nil:
		case string:
			return permission, nil
		default:
			return "", refusef("the actionPerm of its action is no text")
		}
	}
	if hook, ok := action.Value("hookId"); !ok || strings.Contains(action.Text("hookId"), "generic/") && hook != nil {
		return "generic", nil
	}
	callback, _ := callbackOf(action)
	return callback, nil
}

// hookDefinitions returns the definitions that hooks of actions have around
// the repository's template, which give it its values from their payload.
func hookDefinitions(tasksFor, permission string) map[string]any {
	from := func(path string) map[string]string { return map[string]string{"$eval": path} }
	action := map[string]string{
		"repo_scope":  "assume:repo:${payload.decision.repository.url[8:]}:" + literalText(tasksFor) + ":" + literalText(permission),
		"action_perm": literalText(permission),
	}
	for _, name := range []string{"name", "title", "description", "taskGroupId", "symbol", "cb_name"} {
		action[name] = "${payload.decision.action." + name + "}"
	}
	return map[string]any{
		"tasks_for":   tasksFor,
		"action":      action,
		"push":        from("payload.decision.push"),
		"repository":  from("payload.decision.repository"),
		"parameters":  from("payload.decision['parameters']"),
		"input":       from("payload.user.input"),
		"taskId":      from("payload.user.taskId"),
		"taskGroupId": from("payload.user.taskGroupId"),
		"ownTaskId":   from("taskId"),
	}
}

// literalText returns a text that JSON-e renders to the given one.
func literalText(text string) string { return strings.ReplaceAll(text, "${", "$${") }

// groupVariable says in which group an action creates its tasks.
const groupVariable = "ACTION_TASK_GROUP_ID"

// alignGroup checks in which group the action creates tasks, and takes the
// task's own value over into the rebuilt ones. The group of the decision task
// and that of the action itself are both right: which of them the template wants
// can depend on the group that the action was triggered from.
func (p *parent) alignGroup(rebuilt []definition.Object) error {
	isOurs := func(id string) bool { return id != "" && (id == p.TaskID || id == p.DecisionID) }
	runtime := p.task.Text("payload", "env", groupVariable)
	if !isOurs(runtime) && !p.Policy.Compat {
		return refusef("its %s %s is neither its own id nor that of its decision task", groupVariable, quote(runtime))
	}
	aligned := false
	for _, task := range rebuilt {
		env := task.Object("payload", "env")
		if !env.Has(groupVariable) {
			continue // it will not be equal
		}
		if group := env.Text(groupVariable); !isOurs(group) {
			return refusef("the rendered template has the %s %s, which is neither the task's own id nor that of its decision task", groupVariable, quote(group))
		}
		env[groupVariable], aligned = runtime, true
	}
	if !aligned {
		return refusef("the rendered template has no task with an %s", groupVariable)
	}
	return nil
}
