package trust

import (
	"strings"

	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/report"
)

// Interactive refuses a task that lets people in while it runs.
func Interactive(task definition.Object) error {
	for _, path := range [][]string{{"features", "interactive"}, {"env", "TASKCLUSTER_INTERACTIVE"}} {
		if value, _ := task.Object("payload").Value(path...); definition.Truthy(value) {
			return report.Refuse("/payload/%s lets people in while the task runs", strings.Join(path, "/"))
		}
	}
	return nil
}

// RemoteDesktop refuses a task that lets people in by remote desktop.
func RemoteDesktop(task definition.Object) error {
	if task.Has("payload", "rdpInfo") {
		return report.Refuse("/payload/rdpInfo lets people in while the task runs")
	}
	for _, scope := range task.Scopes() {
		if strings.HasPrefix(scope, "generic-worker:allow-rdp:") {
			return report.Refuse("scope %s lets people in while the task runs", scope)
		}
	}
	return nil
}

// DockerFeatures refuses a payload that does not say what Interactive checks.
func DockerFeatures(task definition.Object) error {
	for _, name := range []string{"features", "env"} {
		if task.Object("payload", name) == nil {
			return report.Refuse("/payload/%s is missing: write {} if there is nothing in it", name)
		}
	}
	return nil
}
