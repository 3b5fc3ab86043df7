package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"

	"github.com/taskcluster/generic-worker/internal/mask"
)

// maxClaims is how many tasks the queue gives at once.
const maxClaims = 32

// Claim takes up to n pending tasks, at most 32, for a worker. The queue
// answers as soon as it has one, and with none after 20 s.
//
// A claim whose answer is lost is lost for the whole lease: Claim makes one
// attempt and waits longer than the queue does, so cancel ctx only to exit.
// What comes back is checked: a run that is not for this worker, is no longer
// running, comes twice or is more than was asked for is logged and left to the
// queue. After an error the caller waits, at least RetryAfter(err).
func (c *Client) Claim(ctx context.Context, worker Worker, n int) ([]Claim, error) {
	n = min(n, maxClaims)
	body, err := json.Marshal(tcqueue.ClaimWorkRequest{
		Tasks: int64(n), WorkerGroup: worker.WorkerGroup, WorkerID: worker.WorkerID,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot encode claimWork request: %w", err)
	}
	var claims []Claim
	err = c.do(ctx, &call{
		name: "claimWork", method: http.MethodPost, route: "/claim-work/" + segment(worker.TaskQueueID),
		body: body, once: true, firstByte: c.Limits.withDefaults().LongPoll,
		decode: func(a answer) (err error) {
			claims, err = c.decodeClaims(a, worker, n)
			return err
		},
	})
	return claims, err
}

// claimAnswer is one claim in the answer of claimWork, and the answer of
// reclaimTask, which has no Task.
type claimAnswer struct {
	Status struct {
		TaskID string `json:"taskId"`
		Runs   []struct {
			RunID int    `json:"runId"`
			State string `json:"state"`
		} `json:"runs"`
	} `json:"status"`
	RunID       *int                    `json:"runId"`
	WorkerGroup string                  `json:"workerGroup"`
	WorkerID    string                  `json:"workerId"`
	TakenUntil  tcclient.Time           `json:"takenUntil"`
	Credentials tcqueue.TaskCredentials `json:"credentials"`
	Task        json.RawMessage         `json:"task"`
}

func (c *Client) decodeClaims(a answer, worker Worker, n int) ([]Claim, error) {
	var doc struct {
		Tasks []json.RawMessage `json:"tasks"`
	}
	if err := json.Unmarshal(a.body, &doc); err != nil {
		return nil, err
	}
	if doc.Tasks == nil {
		return nil, errors.New("it has no list of tasks")
	}
	claims := make([]Claim, 0, min(n, len(doc.Tasks)))
	seen := make(map[runKey]bool)
	for _, raw := range doc.Tasks {
		claim, err := c.decodeClaim(a, raw, worker)
		key := claim.key()
		switch {
		case err != nil:
		case seen[key]:
			err = errors.New("it came twice")
		case len(claims) >= n:
			err = fmt.Errorf("only %d were asked for", n)
		}
		if err != nil {
			c.logger().Error("run claimed but not taken", "taskId", key.taskID, "runId", key.runID, "reason", err)
			continue
		}
		seen[key] = true
		claims = append(claims, claim)
	}
	return claims, nil
}

// decodeClaim returns the claim with its ids even if it cannot be used.
func (c *Client) decodeClaim(a answer, raw json.RawMessage, worker Worker) (Claim, error) {
	var doc claimAnswer
	if err := json.Unmarshal(raw, &doc); err != nil {
		return Claim{}, err
	}
	claim := Claim{TaskID: doc.Status.TaskID, RunID: -1, Task: doc.Task}
	if doc.RunID != nil {
		claim.RunID = *doc.RunID
	}
	if claim.TaskID == "" || claim.RunID < 0 {
		return claim, errors.New("it has no taskId or runId")
	}
	if !bytes.HasPrefix(doc.Task, []byte("{")) {
		return claim, errors.New("it has no task definition")
	}
	if err := json.Unmarshal(doc.Task, &claim.Definition); err != nil {
		return claim, fmt.Errorf("cannot decode task definition: %w", err)
	}
	if err := c.extend(&claim, doc, a); err != nil {
		return claim, err
	}
	return claim, doc.fits(worker, claim)
}

// fits tells why a claim is not the worker's to run, if so.
func (d claimAnswer) fits(worker Worker, claim Claim) error {
	if d.WorkerGroup != worker.WorkerGroup || d.WorkerID != worker.WorkerID {
		return fmt.Errorf("it is for worker %q in group %q", d.WorkerID, d.WorkerGroup)
	}
	taskQueue := claim.Definition.TaskQueueID
	if taskQueue == "" {
		taskQueue = claim.Definition.ProvisionerID + "/" + claim.Definition.WorkerType
	}
	if taskQueue != worker.TaskQueueID {
		return fmt.Errorf("it is for task queue %q", taskQueue)
	}
	for _, run := range d.Status.Runs {
		if run.RunID == claim.RunID && run.State != "running" {
			return fmt.Errorf("the run is %s", run.State)
		}
	}
	return nil
}

// extend puts the lease and credentials of an answer into a claim.
func (c *Client) extend(claim *Claim, doc claimAnswer, a answer) error {
	if doc.Credentials.ClientID == "" || doc.Credentials.AccessToken == "" {
		return errors.New("it has no credentials")
	}
	claim.TakenUntil = time.Time(doc.TakenUntil)
	if claim.TakenUntil.IsZero() {
		return errors.New("it has no takenUntil")
	}
	claim.Credentials = Credentials{
		ClientID:    doc.Credentials.ClientID,
		AccessToken: mask.Secret(doc.Credentials.AccessToken),
		Certificate: mask.Secret(doc.Credentials.Certificate),
	}
	claim.Received = a.received
	claim.Expires = c.clock.Here(claim.TakenUntil, a.header, a.received)
	return nil
}

// Reclaim extends a claim. It tries until the queue answers or ctx is done;
// ErrConflict and ErrNotFound mean that the run is no longer the worker's.
// Calls made with the old claim are signed with the new credentials, too.
func (c *Client) Reclaim(ctx context.Context, claim Claim) (Claim, error) {
	fresh := claim
	err := c.do(ctx, &call{
		name: "reclaimTask", method: http.MethodPost, route: claim.route() + "/reclaim",
		claim: &claim, endless: true,
		decode: func(a answer) error {
			var doc claimAnswer
			if err := json.Unmarshal(a.body, &doc); err != nil {
				return err
			}
			if doc.Status.TaskID != claim.TaskID || doc.RunID == nil || *doc.RunID != claim.RunID {
				return errors.New("it is about another run")
			}
			return c.extend(&fresh, doc, a)
		},
	})
	if err != nil {
		return Claim{}, err
	}
	c.renewed.add(claim, fresh)
	return fresh, nil
}

// Resolve reports the outcome of a run. It tries until the queue answers or
// ctx is done; ErrConflict means that the run was resolved otherwise before.
func (c *Client) Resolve(ctx context.Context, claim Claim, outcome Outcome) error {
	k := &call{method: http.MethodPost, claim: &claim, endless: true, decode: isStatusOf(claim.TaskID)}
	switch outcome.State {
	case "completed":
		k.name, k.route = "reportCompleted", claim.route()+"/completed"
	case "failed":
		k.name, k.route = "reportFailed", claim.route()+"/failed"
	case "exception":
		k.name, k.route = "reportException", claim.route()+"/exception"
		body, err := json.Marshal(tcqueue.TaskExceptionRequest{Reason: outcome.Reason})
		if err != nil {
			return fmt.Errorf("cannot encode reportException request: %w", err)
		}
		k.body = body
	default:
		return fmt.Errorf("cannot resolve as %q: it must be completed, failed or exception", outcome.State)
	}
	if err := c.do(ctx, k); err != nil {
		return err
	}
	c.renewed.forget(claim)
	return nil
}

func (c Claim) route() string {
	return "/task/" + segment(c.TaskID) + "/runs/" + strconv.Itoa(c.RunID)
}
