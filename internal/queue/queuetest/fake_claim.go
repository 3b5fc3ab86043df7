package queuetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"
)

// Run is what the fake knows about a run.
type Run struct {
	TaskID        string
	RunID         int
	State         string // pending, running, completed, failed or exception
	Reason        string // why it was resolved
	ReasonCreated string
	WorkerID      string
	Started       time.Time
	TakenUntil    time.Time
	Resolved      time.Time
	Artifacts     []Stored // in order of creation
}

// Artifact returns the artifact of that name, or a zero Stored.
func (r Run) Artifact(name string) Stored {
	for _, artifact := range r.Artifacts {
		if artifact.Name == name {
			return artifact
		}
	}
	return Stored{}
}

// Run returns a run, or false if there is none.
func (f *Fake) Run(taskID string, runID int) (Run, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.run(taskID, runID)
}

func (f *Fake) run(taskID string, runID int) (Run, bool) {
	view, known := f.state(taskID, runID)
	if known {
		run := f.tasks[taskID].runs[runID]
		for _, name := range run.order {
			view.Artifacts = append(view.Artifacts, f.stored(run.artifacts[name]))
		}
	}
	return view, known
}

// state is a run without its artifacts.
func (f *Fake) state(taskID string, runID int) (Run, bool) {
	task := f.tasks[taskID]
	if task == nil || runID < 0 || runID >= len(task.runs) {
		return Run{}, false
	}
	run := task.runs[runID]
	return Run{
		TaskID: taskID, RunID: runID, State: run.doc.State, Reason: run.doc.ReasonResolved, ReasonCreated: run.doc.ReasonCreated,
		WorkerID: run.doc.WorkerID, Started: time.Time(run.doc.Started),
		TakenUntil: time.Time(run.doc.TakenUntil), Resolved: time.Time(run.doc.Resolved),
	}, true
}

// WaitResolved waits until a run is resolved, by whomever.
func (f *Fake) WaitResolved(ctx context.Context, taskID string, runID int) (Run, error) {
	return f.waitRun(ctx, taskID, runID, func(r Run) bool { return !r.Resolved.IsZero() })
}

// WaitClaimed waits until a run has been claimed.
func (f *Fake) WaitClaimed(ctx context.Context, taskID string, runID int) (Run, error) {
	return f.waitRun(ctx, taskID, runID, func(r Run) bool { return !r.Started.IsZero() })
}

// waitRun looks at the artifacts only in the end: every call of a worker wakes it.
func (f *Fake) waitRun(ctx context.Context, taskID string, runID int, done func(Run) bool) (Run, error) {
	err := f.wait(ctx, func() bool {
		run, known := f.state(taskID, runID)
		return known && done(run)
	})
	run, _ := f.Run(taskID, runID)
	if err != nil {
		return run, fmt.Errorf("cannot see the end of %s/%d, which is %q: %w", taskID, runID, run.State, err)
	}
	return run, nil
}

func (f *Fake) claimWork(x *exchange) reply {
	var in tcqueue.ClaimWorkRequest
	if err := json.Unmarshal(x.body, &in); err != nil || in.Tasks < 1 || in.Tasks > 32 || in.WorkerGroup == "" || in.WorkerID == "" {
		return refuse(http.StatusBadRequest, "InputValidationError", "claimWork needs tasks from 1 to 32, workerGroup and workerId")
	}
	poll := time.NewTimer(f.o.LongPoll)
	defer poll.Stop()
	for {
		claims, wake := f.take(x, in)
		if len(claims) > 0 {
			return reply{200, append(append([]byte(`{"tasks":[`), bytes.Join(claims, []byte(","))...), "]}"...)}
		}
		select {
		case <-wake:
			continue
		case <-poll.C:
		case <-x.r.Context().Done(): // or claims would go to nobody
		case <-f.closed:
		}
		return reply{200, map[string]any{"tasks": []any{}}}
	}
}

// take claims pending runs, and tells what to wait for if there are none.
func (f *Fake) take(x *exchange, in tcqueue.ClaimWorkRequest) (claims [][]byte, wake chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	queue := f.pending[x.name]
	for len(queue) > 0 && len(claims) < int(in.Tasks) && x.r.Context().Err() == nil {
		run := queue[0]
		queue[0] = nil
		queue = queue[1:]
		f.pending[x.name] = queue
		run.doc.State, run.doc.Started = "running", tcclient.Time(f.now())
		run.doc.WorkerGroup, run.doc.WorkerID = in.WorkerGroup, in.WorkerID
		claims = append(claims, f.encodeClaim(run))
	}
	if len(claims) > 0 {
		f.notify()
	}
	return claims, f.wake
}

// encodeClaim starts a run's lease and returns it as a part of claimWork's
// answer. The encoder would not leave the task as it is.
func (f *Fake) encodeClaim(run *fakeRun) []byte {
	claim, err := json.Marshal(run.extend())
	if err != nil {
		f.violate("cannot encode claim: %v", err)
		return []byte("{}")
	}
	claim = append(claim[:len(claim)-1], `,"task":`...)
	return append(append(claim, run.task.raw...), '}')
}

// claimDoc is the answer to reclaimTask, and with the task a part of
// claimWork's.
type claimDoc struct {
	Status      statusDoc               `json:"status"`
	RunID       int                     `json:"runId"`
	WorkerGroup string                  `json:"workerGroup"`
	WorkerID    string                  `json:"workerId"`
	TakenUntil  tcclient.Time           `json:"takenUntil"`
	Credentials tcqueue.TaskCredentials `json:"credentials"`
}

// extend starts or renews a run's lease.
func (r *fakeRun) extend() claimDoc {
	f, taskID, runID := r.task.f, r.task.id, r.doc.RunID
	takenUntil := f.now().Add(f.o.Lease).Truncate(time.Millisecond) // as documents have it
	if before := time.Time(r.doc.TakenUntil); !takenUntil.After(before) {
		takenUntil = before.Add(time.Millisecond)
	}
	r.doc.TakenUntil = tcclient.Time(takenUntil)
	r.stopLease()
	r.lease = time.AfterFunc(f.o.Lease, func() { f.expireLease(taskID, runID) })
	return claimDoc{
		Status: r.task.status(), RunID: runID, WorkerGroup: r.doc.WorkerGroup, WorkerID: r.doc.WorkerID,
		TakenUntil: r.doc.TakenUntil, Credentials: r.issue(takenUntil),
	}
}

// expireLease ends a run whose lease was not renewed in time.
func (f *Fake) expireLease(taskID string, runID int) {
	f.expire(taskID, "claim-expired", func(t *fakeTask) bool {
		run := t.runs[len(t.runs)-1]
		// A reclaim may have won the race against the timer.
		return run.doc.RunID == runID && run.doc.State == "running" && !f.now().Before(time.Time(run.doc.TakenUntil))
	})
}

// issue makes credentials for a run. They look like the queue's but carry no
// signature that anyone could check.
func (r *fakeRun) issue(takenUntil time.Time) tcqueue.TaskCredentials {
	f := r.task.f
	now := f.now()
	expires := now.Add(f.o.CredentialsTTL)
	clientID := fmt.Sprintf("task-client/%s/%d/on/%s/%s/until/%d.%09d", r.task.id, r.doc.RunID,
		r.doc.WorkerGroup, r.doc.WorkerID, takenUntil.Unix(), takenUntil.Nanosecond())
	f.issued[clientID] = expires
	certificate, err := json.Marshal(tcclient.Certificate{
		Version: 1, Scopes: r.task.def.Scopes, Start: now.UnixMilli(), Expiry: expires.UnixMilli(),
		Seed: slugid.Nice() + slugid.Nice(), Signature: slugid.Nice(), Issuer: "queue",
	})
	if err != nil {
		f.violate("cannot make a certificate: %v", err)
	}
	return tcqueue.TaskCredentials{ClientID: clientID, AccessToken: slugid.Nice() + slugid.Nice(), Certificate: string(certificate)}
}

func (f *Fake) reclaim(_ *exchange, run *fakeRun) reply {
	switch {
	case run.task.late():
		return conflict("task cannot be reclaimed past its deadline")
	case run.doc.State != "running":
		return conflict(fmt.Sprintf("run %d of task %s is %s, not running", run.doc.RunID, run.task.id, run.doc.State))
	}
	return reply{200, run.extend()}
}

// reportAs makes a handler that resolves a run.
func (f *Fake) reportAs(state string) func(*exchange, *fakeRun) reply {
	return func(x *exchange, run *fakeRun) reply {
		reason := state
		if state == "exception" {
			var in tcqueue.TaskExceptionRequest
			if err := json.Unmarshal(x.body, &in); err != nil || !knownReason(in.Reason) {
				return refuse(http.StatusBadRequest, "InputValidationError", "reason is not one that workers report")
			}
			reason = in.Reason
		}
		switch {
		case run.doc.State == "running":
			run.task.resolve(state, reason)
		case run.doc.State != state || run.doc.ReasonResolved != reason:
			if isReport(run.doc.ReasonResolved) {
				f.violate("second report: %s/%d is %s/%s and was reported %s/%s", run.task.id, run.doc.RunID,
					run.doc.State, run.doc.ReasonResolved, state, reason)
			}
			return conflict(fmt.Sprintf("run is %s, not running", run.doc.State))
		}
		return f.statusOf(run.task)
	}
}

func knownReason(reason string) bool {
	switch reason {
	case "worker-shutdown", "malformed-payload", "resource-unavailable", "internal-error", "intermittent-task":
		return true
	}
	return false
}

// isReport tells whether a run resolved so was resolved by its worker.
func isReport(reason string) bool {
	return knownReason(reason) || reason == "completed" || reason == "failed"
}
