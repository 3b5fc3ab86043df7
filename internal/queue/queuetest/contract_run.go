package queuetest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
)

func runPromises() []promise {
	return []promise{
		{name: "the most urgent task is claimed first, then the oldest", holds: priorities},
		{name: "a claim without work ends with nothing", holds: nothingToClaim},
		{name: "a waiting claim gets a task at once", settings: Settings{LongPoll: patience}, holds: wakes},
		{name: "a waiting claim gets a task that is retried", settings: Settings{LongPoll: patience}, holds: wakesOnRetry},
		{name: "a claim takes no more than it asks for, from its own queue", holds: claimSome},
		{name: "every run is claimed once", holds: claimAtOnce},
		{name: "a claim says what to do and until when", holds: claimContent},
		{name: "a claim can be renewed", holds: reclaim},
		{name: "a run whose claim expires is retried", settings: Settings{Lease: time.Second}, holds: claimExpires},
		{name: "a run is resolved as it is reported", holds: resolutions},
		{name: "the same report can be repeated, another cannot", holds: resolveTwice},
		{name: "a run that does not exist is not found", holds: unknownRun},
	}
}

func priorities(s *suite) {
	order := []string{"highest", "very-high", "high", "medium", "low", "very-low", "lowest"}
	var want []string
	for _, p := range order {
		want = append(want, p+" 1", p+" 2")
	}
	names := map[string]string{}
	for _, round := range []string{"1", "2"} {
		// From the middle outwards, so that no order of creation fits by chance.
		for _, i := range []int{3, 2, 4, 1, 5, 0, 6} {
			names[s.create(fields{"priority": order[i]})] = order[i] + " " + round
		}
	}
	var got []string
	for len(got) < len(want) {
		claims, err := s.q.Claim(s.ctx, anyWorker, 3)
		if err != nil || len(claims) == 0 {
			s.Fatalf("claimed %d tasks, %v", len(claims), err)
		}
		for _, c := range claims {
			got = append(got, names[c.TaskID])
		}
	}
	if !slices.Equal(got, want) {
		s.Errorf("claimed in the order %v, want %v", got, want)
	}
}

func nothingToClaim(s *suite) {
	claims, err := s.q.Claim(s.ctx, anyWorker, 1)
	if err != nil || len(claims) != 0 {
		s.Errorf("claimed %v, %v; want nothing", claims, err)
	}
}

func wakes(s *suite) {
	claimed := make(chan queue.Claim, 1)
	go func() {
		claims, err := s.q.Claim(s.ctx, anyWorker, 1)
		if err != nil || len(claims) != 1 {
			s.Errorf("claimed %d tasks, %v; want 1", len(claims), err)
		}
		claimed <- append(claims, queue.Claim{})[0]
	}()
	id := s.create(nil)
	if got := (<-claimed).TaskID; got != id {
		s.Errorf("claimed %q, want %q", got, id)
	}
}

func wakesOnRetry(s *suite) {
	first := s.claimed(nil)
	claimed := make(chan queue.Claim, 1)
	go func() { claimed <- s.claim() }()
	s.resolve(first, queue.Outcome{State: "exception", Reason: "intermittent-task"})
	if c := <-claimed; c.TaskID != first.TaskID || c.RunID != 1 {
		s.Errorf("claimed run %d of %s, want run 1 of %s", c.RunID, c.TaskID, first.TaskID)
	}
}

func claimSome(s *suite) {
	for range 3 {
		s.create(nil)
	}
	other := s.create(fields{"taskQueueId": "proj-test/some-pool-2"})
	for _, want := range []int{2, 1, 0} {
		claims, err := s.q.Claim(s.ctx, anyWorker, 2)
		if err != nil || len(claims) != want {
			s.Errorf("claimed %d tasks, %v; want %d", len(claims), err, want)
		}
	}
	s.wantStory(other, "pending scheduled-pending")
}

func claimAtOnce(s *suite) {
	const tasks, workers = 24, 6
	for range tasks {
		s.create(nil)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var claimers sync.WaitGroup
	for i := range workers {
		claimers.Go(func() {
			w := anyWorker
			w.WorkerID = fmt.Sprint("worker-", i)
			for {
				claims, err := s.q.Claim(s.ctx, w, 2)
				if err != nil || len(claims) == 0 {
					s.wantOK("claimWork", err)
					return
				}
				mu.Lock()
				for _, c := range claims {
					seen[c.TaskID]++
				}
				mu.Unlock()
			}
		})
	}
	claimers.Wait()
	for id, n := range seen {
		if n != 1 {
			s.Errorf("task %s was claimed %d times", id, n)
		}
	}
	if len(seen) != tasks {
		s.Errorf("%d tasks were claimed, want %d", len(seen), tasks)
	}
}

func claimContent(s *suite) {
	before := time.Now()
	c := s.claimed(fields{"scopes": []string{"some:scope"}, "extra": fields{"big": int64(12345678901234567), "html": "<b>"}})
	stored, err := s.q.Task(s.ctx, c.TaskID)
	s.wantOK("task", err)
	if !bytes.Equal(stored, c.Task) {
		s.Errorf("the claim holds the definition %s, want %s as it is stored", c.Task, stored)
	}
	if c.RunID != 0 || c.Definition.TaskQueueID != anyWorker.TaskQueueID {
		s.Errorf("claimed run %d for %q, want run 0 for %q", c.RunID, c.Definition.TaskQueueID, anyWorker.TaskQueueID)
	}
	if c.Credentials.ClientID == "" || c.Credentials.AccessToken == "" || c.Credentials.Certificate == "" {
		s.Errorf("the claim lacks temporary credentials: %v", c.Credentials)
	}
	if left := c.TakenUntil.Sub(before); left < 19*time.Minute || left > 21*time.Minute {
		s.Errorf("the claim lasts %v, want 20 minutes", left)
	}
	run := s.status(c.TaskID).Runs[0]
	if run.State != "running" || run.WorkerGroup != anyWorker.WorkerGroup || run.WorkerID != anyWorker.WorkerID ||
		!time.Time(run.TakenUntil).Equal(c.TakenUntil) || time.Time(run.Started).IsZero() || !time.Time(run.Resolved).IsZero() {
		s.Errorf("the run is %+v, want running since now by %v until %v", run, anyWorker, c.TakenUntil)
	}
}

func reclaim(s *suite) {
	c := s.claimed(nil)
	renewed, err := s.q.Reclaim(s.ctx, c)
	if err != nil {
		s.Fatal(err)
	}
	if renewed.TaskID != c.TaskID || renewed.RunID != c.RunID || !bytes.Equal(renewed.Task, c.Task) {
		s.Errorf("reclaiming changed the run: %s/%d", renewed.TaskID, renewed.RunID)
	}
	if renewed.TakenUntil.Before(c.TakenUntil) || renewed.Credentials == c.Credentials {
		s.Error("reclaiming gave no later end or no new credentials")
	}
	// Both answers stay usable, so that a lost one does no harm.
	_, err = s.q.Reclaim(s.ctx, c)
	s.wantOK("reclaimTask with the older credentials", err)
	s.resolve(renewed, queue.Outcome{State: "completed"})
	_, err = s.q.Reclaim(s.ctx, renewed)
	s.wantStatus("reclaimTask of a resolved run", err, 409)
}

func claimExpires(s *suite) {
	first := s.claimed(fields{"retries": 1})
	second := s.claim() // once the first claim has expired
	if second.TaskID != first.TaskID || second.RunID != 1 {
		s.Fatalf("claimed run %d of %s, want run 1 of %s", second.RunID, second.TaskID, first.TaskID)
	}
	_, err := s.q.Reclaim(s.ctx, first)
	if err == nil {
		s.Error("the expired claim could be renewed")
	}
	if err := s.q.Resolve(s.ctx, first, queue.Outcome{State: "completed"}); err == nil {
		s.Error("the expired claim's run could be resolved")
	}
	s.awaitStory(first.TaskID, "exception scheduled-exception/claim-expired retry-exception/claim-expired")
}

func resolutions(s *suite) {
	for _, row := range []struct {
		outcome queue.Outcome
		want    string
	}{
		{queue.Outcome{State: "completed"}, "completed scheduled-completed/completed"},
		{queue.Outcome{State: "failed"}, "failed scheduled-failed/failed"},
		{queue.Outcome{State: "exception", Reason: "malformed-payload"}, "exception scheduled-exception/malformed-payload"},
		{queue.Outcome{State: "exception", Reason: "resource-unavailable"}, "exception scheduled-exception/resource-unavailable"},
		{queue.Outcome{State: "exception", Reason: "internal-error"}, "exception scheduled-exception/internal-error"},
		{queue.Outcome{State: "exception", Reason: "worker-shutdown"}, "pending scheduled-exception/worker-shutdown retry-pending"},
		{queue.Outcome{State: "exception", Reason: "intermittent-task"}, "pending scheduled-exception/intermittent-task task-retry-pending"},
	} {
		c := s.claimed(fields{"retries": 1})
		for range 2 {
			s.resolve(c, row.outcome)
			s.wantStory(c.TaskID, row.want)
		}
		_, err := s.q.CancelTask(s.ctx, c.TaskID)
		s.wantOK("cancelTask", err)
		if row.outcome.State != "exception" {
			continue
		}
		// Without retries every exception is final.
		last := s.claimed(fields{"retries": 0})
		s.resolve(last, row.outcome)
		s.wantStory(last.TaskID, "exception scheduled-exception/"+row.outcome.Reason)
	}
}

func resolveTwice(s *suite) {
	outcomes := []queue.Outcome{
		{State: "completed"},
		{State: "failed"},
		{State: "exception", Reason: "internal-error"},
		{State: "exception", Reason: "worker-shutdown"},
	}
	for _, first := range outcomes {
		c := s.claimed(nil)
		s.resolve(c, first)
		before := s.story(c.TaskID)
		for _, second := range outcomes {
			err := s.q.Resolve(s.ctx, c, second)
			if second == first {
				s.wantOK(fmt.Sprintf("%v after %v", second, first), err)
			} else {
				s.wantStatus(fmt.Sprintf("%v after %v", second, first), err, 409)
			}
			s.wantStory(c.TaskID, before)
		}
		_, err := s.q.CancelTask(s.ctx, c.TaskID)
		s.wantOK("cancelTask", err)
	}
	c := s.claimed(nil)
	err := s.q.Resolve(s.ctx, c, queue.Outcome{State: "exception", Reason: "superseded"})
	s.wantStatus("an unknown reason", err, 400)
}

func unknownRun(s *suite) {
	c := s.claimed(nil)
	if _, err := s.q.Artifacts(s.ctx, c.TaskID, 1); err == nil {
		s.Error("the artifacts of a run that does not exist were listed")
	}
	pending := s.create(fields{"taskQueueId": "proj-test/other"})
	_, err := s.q.Artifacts(s.ctx, pending, 1)
	s.wantStatus("listArtifacts", err, 404)
}
