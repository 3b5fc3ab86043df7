package local

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
	"github.com/taskcluster/generic-worker/internal/queue/local/ledger"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
)

// maxClaims is how many runs one call can claim.
const maxClaims = 32

// exceptionReasons are the reasons that a worker may report.
var exceptionReasons = [...]string{
	"worker-shutdown", "malformed-payload", "resource-unavailable", "internal-error", "intermittent-task",
}

type claimRequest struct {
	Tasks       int    `json:"tasks"`
	WorkerGroup string `json:"workerGroup"`
	WorkerID    string `json:"workerId"`
}

func (r *claimRequest) Problems() rest.Problems {
	var p rest.Problems
	p.Check(r.Tasks >= 1 && r.Tasks <= maxClaims, "/tasks", "must be a number from 1 to "+strconv.Itoa(maxClaims))
	p.Check(rest.IdentifierForm().MatchString(r.WorkerGroup), "/workerGroup", "must match "+rest.IdentifierForm().String())
	p.Check(rest.IdentifierForm().MatchString(r.WorkerID), "/workerId", "must match "+rest.IdentifierForm().String())
	return p
}

// claimAnswer is a run that a worker has, with the credentials to work on it.
type claimAnswer struct {
	Status      ledger.Status   `json:"status"`
	RunID       int             `json:"runId"`
	WorkerGroup string          `json:"workerGroup"`
	WorkerID    string          `json:"workerId"`
	TakenUntil  tcclient.Time   `json:"takenUntil"`
	Task        json.RawMessage `json:"task,omitempty"`
	Credentials hawk.Temporary  `json:"credentials"`
}

func (c *call) claimWork() (any, error) {
	r := claimRequest{Tasks: 1}
	if err := c.Decode(&r); err != nil {
		return nil, err
	}
	id := c.Params["taskQueueId"]
	err := c.Need(hawk.AllOf(
		hawk.Scope("queue:claim-work:", id),
		hawk.Scope("queue:worker-id:", r.WorkerGroup, "/", r.WorkerID),
	))
	if err != nil {
		return nil, err
	}
	w := queue.Worker{TaskQueueID: id, WorkerGroup: r.WorkerGroup, WorkerID: r.WorkerID}
	claims, err := c.ledger.Claim(c.Request.Context(), w, r.Tasks, c.options.LongPoll)
	if err != nil {
		return nil, err
	}
	answers := make([]claimAnswer, len(claims))
	for i, claimed := range claims {
		if answers[i], err = c.answerClaim(claimed); err != nil {
			return nil, err
		}
	}
	return map[string]any{"tasks": answers}, nil
}

// answerClaim adds to a claim the credentials that the task runs with.
func (q *Queue) answerClaim(c ledger.Claimed) (claimAnswer, error) {
	run := c.Status.TaskID + "/" + strconv.Itoa(c.RunID)
	until := time.Time(c.TakenUntil)
	name := strings.Join([]string{
		"task-client", run, "on", c.WorkerGroup, c.WorkerID,
		"until", strconv.FormatFloat(float64(until.UnixMilli())/1000, 'f', -1, 64),
	}, "/")
	scopes := append([]string{
		"queue:reclaim-task:" + run,
		"queue:resolve-task:" + run,
		"queue:create-artifact:" + run,
	}, c.Scopes...)
	credentials, err := hawk.Issue(q.clients[issuerID], name, until, scopes)
	return claimAnswer{
		Status: c.Status, RunID: c.RunID, WorkerGroup: c.WorkerGroup, WorkerID: c.WorkerID,
		TakenUntil: c.TakenUntil, Task: c.Definition, Credentials: credentials,
	}, err
}

// runScope is the scope of a verb for the run that the path names.
func (c *call) runScope(verb string) hawk.Expression {
	return hawk.Scope("queue:", verb, ":", c.Params["taskId"], "/", c.Params["runId"])
}

func (c *call) reclaim() (any, error) {
	if err := c.Need(c.runScope("reclaim-task")); err != nil {
		return nil, err
	}
	claimed, err := c.ledger.Reclaim(c.Request.Context(), c.Params["taskId"], c.runID())
	if err != nil {
		return nil, err
	}
	claimed.Definition = nil
	return c.answerClaim(claimed)
}

func (c *call) reportCompleted() (any, error) { return c.resolve(queue.Outcome{State: "completed"}) }
func (c *call) reportFailed() (any, error)    { return c.resolve(queue.Outcome{State: "failed"}) }

type exceptionRequest struct {
	Reason string `json:"reason"`
}

func (r *exceptionRequest) Problems() rest.Problems {
	var p rest.Problems
	p.Check(slices.Contains(exceptionReasons[:], r.Reason), "/reason", "must be one of "+strings.Join(exceptionReasons[:], ", "))
	return p
}

func (c *call) reportException() (any, error) {
	var r exceptionRequest
	if err := c.Decode(&r); err != nil {
		return nil, err
	}
	return c.resolve(queue.Outcome{State: "exception", Reason: r.Reason})
}

func (c *call) resolve(o queue.Outcome) (any, error) {
	if err := c.Need(c.runScope("resolve-task")); err != nil {
		return nil, err
	}
	return answerStatus(c.ledger.Resolve(c.Request.Context(), c.Params["taskId"], c.runID(), o))
}
