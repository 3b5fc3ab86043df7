package queuetest

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"

	"github.com/taskcluster/generic-worker/internal/queue"
)

func taskPromises() []promise {
	return []promise{
		{name: "a new task is pending and has every default", holds: defaults},
		{name: "creating the same task again changes nothing", holds: createAgain},
		{name: "creating another task under an id in use is a conflict", holds: createOther},
		{name: "creating one task many times at once is one task", holds: createAtOnce},
		{name: "a definition that does not fit the schema is refused", strict: true, holds: badDefinitions},
		{name: "a task that does not exist is not found", holds: unknownTasks},
		{name: "a task waits for its dependencies", holds: dependencies},
		{name: "a dependency must exist", holds: missingDependency},
		{name: "a task that depends on itself waits to be scheduled", holds: selfDependency},
		{name: "a group lists its tasks in order of creation", holds: groups},
		{name: "a group has one scheduler", holds: groupScheduler},
		{name: "a canceled task is resolved at once", holds: cancel},
		{name: "a resolved task can run again", holds: rerun},
		{name: "a task past its deadline is resolved and stays so", holds: deadline},
	}
}

func defaults(s *suite) {
	id := slugid.Nice()
	created, err := s.q.CreateTask(s.ctx, id, s.definition(nil))
	if err != nil {
		s.Fatal(err)
	}
	if created.TaskID != id || created.State != "pending" || created.RetriesLeft != 5 {
		s.Errorf("status is %+v, want task %s pending with 5 retries", created, id)
	}
	s.wantStory(id, "pending scheduled-pending")

	text, err := s.q.Task(s.ctx, id)
	if err != nil {
		s.Fatal(err)
	}
	var d tcqueue.TaskDefinitionResponse
	if err := json.Unmarshal(text, &d); err != nil {
		s.Fatal(err)
	}
	got := fields{
		"provisionerId": d.ProvisionerID, "workerType": d.WorkerType, "taskQueueId": d.TaskQueueID,
		"schedulerId": d.SchedulerID, "taskGroupId": d.TaskGroupID, "requires": d.Requires, "priority": d.Priority,
		"retries": d.Retries, "extra": string(d.Extra),
		"expires": time.Time(d.Expires).Equal(time.Time(d.Deadline).AddDate(1, 0, 0)),
		"lists":   d.Dependencies != nil && d.Routes != nil && d.Scopes != nil && d.Tags != nil,
	}
	want := fields{
		"provisionerId": "proj-test", "workerType": "some-pool", "taskQueueId": "proj-test/some-pool",
		"schedulerId": "-", "taskGroupId": id, "requires": "all-completed", "priority": "lowest",
		"retries": int64(5), "extra": "{}", "expires": true, "lists": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("definition differs (-want +got):\n%s", diff)
	}
}

func createAgain(s *suite) {
	id, d := slugid.Nice(), s.definition(fields{"tags": fields{"a": "<&>"}, "expires": nil})
	for range 2 {
		_, err := s.q.CreateTask(s.ctx, id, d)
		s.wantOK("createTask", err)
	}
	s.run(queue.Outcome{State: "completed"})
	again, err := s.q.CreateTask(s.ctx, id, d)
	s.wantOK("createTask", err)
	if again.State != "completed" {
		s.Errorf("the task is %s after it was created again, want completed", again.State)
	}
}

func createOther(s *suite) {
	id := slugid.Nice()
	_, err := s.q.CreateTask(s.ctx, id, s.definition(nil))
	s.wantOK("createTask", err)
	_, err = s.q.CreateTask(s.ctx, id, s.definition(fields{"payload": fields{"command": [][]string{{"false"}}}}))
	s.wantStatus("createTask", err, 409)
}

func createAtOnce(s *suite) {
	id, d := slugid.Nice(), s.definition(nil)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			_, err := s.q.CreateTask(s.ctx, id, d)
			s.wantOK("createTask", err)
		})
	}
	callers.Wait()
	claims, err := s.q.Claim(s.ctx, anyWorker, 8)
	if err != nil || len(claims) != 1 {
		s.Errorf("claimed %d runs, %v; want 1", len(claims), err)
	}
}

func badDefinitions(s *suite) {
	now := time.Now()
	at := func(d time.Duration) tcclient.Time { return tcclient.Time(now.Add(d)) }
	for what, change := range map[string]fields{
		"no created":              {"created": nil},
		"no deadline":             {"deadline": nil},
		"no payload":              {"payload": nil},
		"no metadata":             {"metadata": nil},
		"no queue":                {"taskQueueId": nil},
		"half a queue":            {"taskQueueId": nil, "provisionerId": "proj-test"},
		"two queues":              {"provisionerId": "other", "workerType": "some-pool"},
		"worker type in capitals": {"taskQueueId": "proj-test/Some-Pool"},
		"payload is a list":       {"payload": []string{}},
		"unknown property":        {"pay-load": fields{}},
		"unknown metadata":        {"metadata": fields{"name": "n", "description": "d", "owner": "o", "source": "https://example.com", "x": "y"}},
		"incomplete metadata":     {"metadata": fields{"name": "n"}},
		"source is not a link":    {"metadata": fields{"name": "n", "description": "d", "owner": "o", "source": "javascript:x"}},
		"priority":                {"priority": "urgent"},
		"too many retries":        {"retries": 50},
		"half a retry":            {"retries": 1.5},
		"requires":                {"requires": "nothing"},
		"group is no id":          {"taskGroupId": "group"},
		"dependency is no id":     {"dependencies": []string{"task"}},
		"a dependency twice":      {"dependencies": []string{"fN1SbArXTPSVFNUvaOlinQ", "fN1SbArXTPSVFNUvaOlinQ"}},
		"empty route":             {"routes": []string{""}},
		"too many routes":         {"routes": strings.Split(strings.Repeat("r ", 65), " ")},
		"scope with two stars":    {"scopes": []string{"all:**"}},
		"scope beyond ASCII":      {"scopes": []string{"schön"}},
		"tag is a number":         {"tags": fields{"n": 1}},
		"long tag":                {"tags": fields{"n": strings.Repeat("x", 4097)}},
		"scheduler with a space":  {"schedulerId": "a b"},
		"time without zone":       {"created": "2030-01-01T00:00:00"},
		"created long ago":        {"created": at(-16 * time.Minute)},
		"created in the future":   {"created": at(16 * time.Minute)},
		"deadline before created": {"created": at(5 * time.Minute), "deadline": at(4 * time.Minute)},
		"deadline in the past":    {"created": at(-10 * time.Minute), "deadline": at(-time.Minute)},
		"deadline in six days":    {"deadline": at(6 * 24 * time.Hour)},
		"expires before deadline": {"expires": at(30 * time.Minute)},
	} {
		_, err := s.q.CreateTask(s.ctx, slugid.Nice(), s.definition(change))
		s.wantStatus(what, err, 400)
	}
	_, err := s.q.CreateTask(s.ctx, "not-an-id", s.definition(nil))
	s.wantStatus("an id that is no slug id", err, 400)
}

func unknownTasks(s *suite) {
	id := slugid.Nice()
	_, err := s.q.Task(s.ctx, id)
	s.wantStatus("task", err, 404)
	_, err = s.q.TaskGroup(s.ctx, id)
	s.wantStatus("listTaskGroup", err, 404)
	_, err = s.q.Status(s.ctx, id)
	s.wantStatus("status", err, 404)
	_, err = s.q.ScheduleTask(s.ctx, id)
	s.wantStatus("scheduleTask", err, 404)
	_, err = s.q.RerunTask(s.ctx, id)
	s.wantStatus("rerunTask", err, 404)
	_, err = s.q.CancelTask(s.ctx, id)
	s.wantStatus("cancelTask", err, 404)
	_, err = s.q.Artifacts(s.ctx, id, 0)
	s.wantStatus("listArtifacts", err, 404)
	_, err = s.q.OpenArtifact(s.ctx, id, -1, "public/x")
	s.wantStatus("getArtifact", err, 404)
}

func dependencies(s *suite) {
	for _, row := range []struct {
		requires string
		outcome  queue.Outcome
		want     string
	}{
		{"all-completed", queue.Outcome{State: "completed"}, "pending scheduled-pending"},
		{"all-completed", queue.Outcome{State: "failed"}, "unscheduled"},
		{"all-completed", queue.Outcome{State: "exception", Reason: "internal-error"}, "unscheduled"},
		{"all-resolved", queue.Outcome{State: "completed"}, "pending scheduled-pending"},
		{"all-resolved", queue.Outcome{State: "failed"}, "pending scheduled-pending"},
		{"all-resolved", queue.Outcome{State: "exception", Reason: "internal-error"}, "pending scheduled-pending"},
	} {
		first, second := s.create(nil), s.create(nil)
		dependent := s.create(fields{"dependencies": []string{first, second}, "requires": row.requires})
		s.wantStory(dependent, "unscheduled")
		s.run(queue.Outcome{State: "completed"})
		s.wantStory(dependent, "unscheduled")
		s.run(row.outcome)
		if got := s.story(dependent); got != row.want {
			s.Errorf("%s after %v: task is %q, want %q", row.requires, row.outcome, got, row.want)
		}
		// A task created after its dependencies are resolved is in the same state.
		late := s.create(fields{"dependencies": []string{first, second}, "requires": row.requires})
		if got := s.story(late); got != row.want {
			s.Errorf("%s long after %v: task is %q, want %q", row.requires, row.outcome, got, row.want)
		}
		for _, id := range []string{dependent, late} {
			_, err := s.q.CancelTask(s.ctx, id)
			s.wantOK("cancelTask", err)
		}
	}
}

func missingDependency(s *suite) {
	id := slugid.Nice()
	_, err := s.q.CreateTask(s.ctx, id, s.definition(fields{"dependencies": []string{slugid.Nice()}}))
	s.wantStatus("createTask", err, 400)
	_, err = s.q.Status(s.ctx, id)
	s.wantStatus("status", err, 404)
}

func selfDependency(s *suite) {
	id := slugid.Nice()
	_, err := s.q.CreateTask(s.ctx, id, s.definition(fields{"dependencies": []string{id}}))
	s.wantOK("createTask", err)
	s.wantStory(id, "unscheduled")
	for range 2 {
		_, err = s.q.ScheduleTask(s.ctx, id)
		s.wantOK("scheduleTask", err)
		s.wantStory(id, "pending scheduled-pending")
	}
	s.run(queue.Outcome{State: "completed"})
	_, err = s.q.ScheduleTask(s.ctx, id)
	s.wantOK("scheduleTask of a completed task", err)
	s.wantStory(id, "completed scheduled-completed/completed")
}

func groups(s *suite) {
	group := slugid.Nice()
	var want []string
	for range 5 {
		want = append(want, s.create(fields{"taskGroupId": group}))
		s.create(nil) // in a group of its own
	}
	listed, err := s.q.TaskGroup(s.ctx, group)
	s.wantOK("listTaskGroup", err)
	var got []string
	for _, status := range listed {
		got = append(got, status.TaskID)
	}
	if !slices.Equal(got, want) {
		s.Errorf("group is %v, want %v", got, want)
	}
}

func groupScheduler(s *suite) {
	group := slugid.Nice()
	s.create(fields{"taskGroupId": group, "schedulerId": "one"})
	_, err := s.q.CreateTask(s.ctx, slugid.Nice(), s.definition(fields{"taskGroupId": group, "schedulerId": "two"}))
	s.wantStatus("createTask", err, 409)
}

func cancel(s *suite) {
	waiting := slugid.Nice()
	_, err := s.q.CreateTask(s.ctx, waiting, s.definition(fields{"dependencies": []string{waiting}}))
	s.wantOK("createTask", err)
	running := s.claimed(nil)
	pending := s.create(nil)
	for id, want := range map[string]string{
		waiting:        "exception exception-exception/canceled",
		pending:        "exception scheduled-exception/canceled",
		running.TaskID: "exception scheduled-exception/canceled",
	} {
		for range 2 {
			_, err := s.q.CancelTask(s.ctx, id)
			s.wantOK("cancelTask", err)
			s.wantStory(id, want)
		}
	}
	_, err = s.q.Reclaim(s.ctx, running)
	s.wantStatus("reclaimTask of a canceled run", err, 409)
	s.wantStatus("reportCompleted of a canceled run", s.q.Resolve(s.ctx, running, queue.Outcome{State: "completed"}), 409)
	if claims, err := s.q.Claim(s.ctx, anyWorker, 9); err != nil || len(claims) > 0 {
		s.Errorf("claimed %d canceled tasks, %v", len(claims), err)
	}

	done := s.claimed(nil)
	s.resolve(done, queue.Outcome{State: "completed"})
	_, err = s.q.CancelTask(s.ctx, done.TaskID)
	s.wantOK("cancelTask of a completed task", err)
	s.wantStory(done.TaskID, "completed scheduled-completed/completed")
}

func rerun(s *suite) {
	first := s.claimed(fields{"retries": 1})
	s.resolve(first, queue.Outcome{State: "exception", Reason: "worker-shutdown"})
	s.run(queue.Outcome{State: "failed"})
	if left := s.status(first.TaskID).RetriesLeft; left != 0 {
		s.Errorf("%d retries are left, want 0", left)
	}
	for range 2 {
		again, err := s.q.RerunTask(s.ctx, first.TaskID)
		s.wantOK("rerunTask", err)
		if again.RetriesLeft != 1 || again.State != "pending" || len(again.Runs) != 3 {
			s.Errorf("rerunTask answers %s with %d runs and %d retries, want pending, 3 and 1", again.State, len(again.Runs), again.RetriesLeft)
		}
	}
	s.wantStory(first.TaskID, "pending scheduled-exception/worker-shutdown retry-failed/failed rerun-pending")
	if claim := s.claim(); claim.RunID != 2 {
		s.Errorf("claimed run %d, want 2", claim.RunID)
	}
	_, err := s.q.Reclaim(s.ctx, first)
	s.wantStatus("reclaimTask of an old run", err, 409)
}

func deadline(s *suite) {
	soon := tcclient.Time(time.Now().Add(700 * time.Millisecond))
	running := s.claimed(fields{"deadline": soon, "retries": 5})
	id := slugid.Nice()
	_, err := s.q.CreateTask(s.ctx, id, s.definition(fields{"deadline": soon, "dependencies": []string{id}}))
	s.wantOK("createTask", err)
	s.awaitStory(running.TaskID, "exception scheduled-exception/deadline-exceeded")
	s.awaitStory(id, "exception exception-exception/deadline-exceeded")
	_, err = s.q.Reclaim(s.ctx, running)
	s.wantStatus("reclaimTask", err, 409)
	_, err = s.q.RerunTask(s.ctx, id)
	s.wantStatus("rerunTask", err, 409)
	_, err = s.q.CancelTask(s.ctx, id)
	s.wantStatus("cancelTask", err, 409)
	s.wantStatus("reportCompleted", s.q.Resolve(s.ctx, running, queue.Outcome{State: "completed"}), 409)
}
