package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"

	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
	"github.com/taskcluster/generic-worker/internal/queue/local/ledger"
	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
	"github.com/taskcluster/generic-worker/internal/queue/local/storage"
)

// connectTimeout bounds how long a reference's server may take to answer; how
// long its content takes is for the reader's context to bound, since a live
// log lasts as long as its task.
const connectTimeout = 30 * time.Second

func newFetcher() *http.Client {
	return &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: connectTimeout, IdleConnTimeout: connectTimeout}}
}

// called names the call that was refused.
func called(name string, err error) error {
	refusal, known := errors.AsType[*queue.Error](err)
	if errors.Is(err, disk.ErrClosed) {
		refusal, known = rest.Closed(), true
	}
	if !known {
		if err != nil {
			err = fmt.Errorf("cannot %s: %w", name, err)
		}
		return err
	}
	named := *refusal
	named.Call = name
	return &named
}

// structure turns a status into the type that clients use.
func structure(call string, s ledger.Status, err error) (tcqueue.TaskStatusStructure, error) {
	var status tcqueue.TaskStatusStructure
	if err != nil {
		return status, called(call, err)
	}
	return status, convert(s, &status)
}

func convert(from, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}

// CreateTask creates a task, as the queue's call of that name.
func (q *Queue) CreateTask(ctx context.Context, taskID string, definition json.RawMessage) (tcqueue.TaskStatusStructure, error) {
	const call = "createTask"
	if !rest.SlugForm().MatchString(taskID) {
		return structure(call, ledger.Status{}, rest.Refuse(http.StatusBadRequest, rest.InvalidArguments, "the task id %q is not a slug id", taskID))
	}
	d, err := parseTask(taskID, definition)
	if err != nil {
		return structure(call, ledger.Status{}, err)
	}
	s, err := q.ledger.Create(ctx, taskID, d)
	return structure(call, s, err)
}

// Task returns a task's definition, byte for byte as it is stored.
func (q *Queue) Task(_ context.Context, taskID string) (json.RawMessage, error) {
	d, err := q.ledger.Definition(taskID)
	return d, called("task", err)
}

// Status returns the state of a task and its runs.
func (q *Queue) Status(_ context.Context, taskID string) (tcqueue.TaskStatusStructure, error) {
	s, err := q.ledger.Status(taskID)
	return structure("status", s, err)
}

// ScheduleTask makes an unscheduled task pending, whatever it depends on.
func (q *Queue) ScheduleTask(ctx context.Context, taskID string) (tcqueue.TaskStatusStructure, error) {
	s, err := q.ledger.Schedule(ctx, taskID)
	return structure("scheduleTask", s, err)
}

// RerunTask gives a resolved task a new run.
func (q *Queue) RerunTask(ctx context.Context, taskID string) (tcqueue.TaskStatusStructure, error) {
	s, err := q.ledger.Rerun(ctx, taskID)
	return structure("rerunTask", s, err)
}

// CancelTask resolves an unresolved task as exception, canceled.
func (q *Queue) CancelTask(ctx context.Context, taskID string) (tcqueue.TaskStatusStructure, error) {
	s, err := q.ledger.Cancel(ctx, taskID)
	return structure("cancelTask", s, err)
}

// TaskGroup returns the status of every task in a group, in order of creation.
func (q *Queue) TaskGroup(_ context.Context, taskGroupID string) ([]tcqueue.TaskStatusStructure, error) {
	var all []tcqueue.TaskStatusStructure
	page := disk.Page{Limit: rest.MaxPage}
	for {
		tasks, next, err := q.ledger.Group(taskGroupID, page)
		if err != nil {
			return nil, called("listTaskGroup", err)
		}
		for _, t := range tasks {
			s, err := structure("listTaskGroup", t.Status, nil)
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		}
		if next == "" {
			return all, nil
		}
		page.Token = next
	}
}

// Recent returns the status of up to n tasks, the newest first.
func (q *Queue) Recent(_ context.Context, n int) ([]tcqueue.TaskStatusStructure, error) {
	tasks, err := q.ledger.Recent(n)
	if err != nil {
		return nil, fmt.Errorf("cannot list tasks: %w", err)
	}
	all := make([]tcqueue.TaskStatusStructure, len(tasks))
	for i, t := range tasks {
		if all[i], err = structure("list", t.Status, nil); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Claim takes up to n pending tasks for a worker, waiting for the first one
// as long as the long poll lasts. It returns at once when a task arrives.
func (q *Queue) Claim(ctx context.Context, w queue.Worker, n int) ([]queue.Claim, error) {
	const call = "claimWork"
	r := claimRequest{Tasks: n, WorkerGroup: w.WorkerGroup, WorkerID: w.WorkerID}
	p := r.Problems()
	p.Check(rest.QueueForm().MatchString(w.TaskQueueID), "taskQueueId", "must match "+rest.QueueForm().String())
	if len(p) > 0 {
		return nil, called(call, rest.Refuse(http.StatusBadRequest, rest.InvalidDocument, "%v", p))
	}
	claimed, err := q.ledger.Claim(ctx, w, n, q.options.LongPoll)
	if err != nil {
		return nil, called(call, err)
	}
	claims := make([]queue.Claim, len(claimed))
	for i, c := range claimed {
		claims[i] = queue.Claim{TaskID: c.Status.TaskID, RunID: c.RunID, Task: c.Definition}
		if err := json.Unmarshal(c.Definition, &claims[i].Definition); err != nil {
			return nil, fmt.Errorf("cannot read the definition of task %s: %w", c.Status.TaskID, err)
		}
		if err := q.fill(&claims[i], c); err != nil {
			return nil, err
		}
	}
	return claims, nil
}

// fill sets what changes whenever a claim is renewed.
func (q *Queue) fill(claim *queue.Claim, c ledger.Claimed) error {
	answer, err := q.answerClaim(c)
	if err != nil {
		return err
	}
	claim.Credentials = queue.Credentials{
		ClientID:    answer.Credentials.ClientID,
		AccessToken: mask.Secret(answer.Credentials.AccessToken),
		Certificate: mask.Secret(answer.Credentials.Certificate),
	}
	claim.Received = time.Now()
	claim.TakenUntil = time.Time(c.TakenUntil)
	claim.Expires = claim.Received.Add(time.Until(claim.TakenUntil))
	return nil
}

// Reclaim renews a claim.
func (q *Queue) Reclaim(ctx context.Context, claim queue.Claim) (queue.Claim, error) {
	c, err := q.ledger.Reclaim(ctx, claim.TaskID, claim.RunID)
	if err != nil {
		return claim, called("reclaimTask", err)
	}
	return claim, q.fill(&claim, c)
}

// Resolve reports how a run ended.
func (q *Queue) Resolve(ctx context.Context, claim queue.Claim, outcome queue.Outcome) error {
	calls := map[string]string{"completed": "reportCompleted", "failed": "reportFailed", "exception": "reportException"}
	call, known := calls[outcome.State]
	if !known {
		return called("report", rest.Refuse(http.StatusBadRequest, rest.InvalidDocument, "the state must be completed, failed or exception, not %q", outcome.State))
	}
	if outcome.State == "exception" {
		if p := (&exceptionRequest{Reason: outcome.Reason}).Problems(); len(p) > 0 {
			return called(call, rest.Refuse(http.StatusBadRequest, rest.InvalidDocument, "%v", p))
		}
	}
	_, err := q.ledger.Resolve(ctx, claim.TaskID, claim.RunID, outcome)
	return called(call, err)
}

// CreateArtifact announces an artifact of the claimed run. URLs in the answer
// begin with the RootURL of the queue's options.
func (q *Queue) CreateArtifact(ctx context.Context, claim queue.Claim, name string, request json.RawMessage) (json.RawMessage, error) {
	const call = "createArtifact"
	r, err := decodeArtifact(request)
	if err == nil && !rest.NameForm().MatchString(name) {
		err = rest.Refuse(http.StatusBadRequest, rest.InvalidArguments, "the artifact name %q must be printable ASCII", name)
	}
	if err == nil && r.StorageType == "s3" && q.options.RootURL == "" {
		err = errors.New("the queue has no root URL to which data could be sent")
	}
	if err != nil {
		return nil, called(call, err)
	}
	answer, err := q.announce(ctx, place{claim.TaskID, claim.RunID, name}, r, q.options.RootURL)
	if err != nil {
		return nil, called(call, err)
	}
	return json.Marshal(answer)
}

// FinishArtifact tells that the object upload of an artifact is complete.
func (q *Queue) FinishArtifact(ctx context.Context, claim queue.Claim, name, uploadID string) error {
	a := ledger.Artifact{TaskID: claim.TaskID, RunID: claim.RunID, Name: name}
	return called("finishArtifact", q.ledger.FinishArtifact(ctx, a, uploadID))
}

// Artifacts lists the artifacts of a run; runID -1 means the latest.
func (q *Queue) Artifacts(_ context.Context, taskID string, runID int) ([]queue.Artifact, error) {
	at, err := q.resolveRun(place{taskID: taskID, runID: runID})
	all := []queue.Artifact{}
	page := disk.Page{Limit: rest.MaxPage}
	for err == nil {
		var artifacts []ledger.Artifact
		artifacts, page.Token, err = q.ledger.Artifacts(at.taskID, at.runID, page)
		for _, a := range artifacts {
			listed := queue.Artifact{Name: a.Name, StorageType: a.StorageType, ContentType: a.ContentType, Expires: time.Time(a.Expires)}
			if a.ContentLength != nil {
				listed.ContentLength = *a.ContentLength
			}
			all = append(all, listed)
		}
		if err == nil && page.Token == "" {
			return all, nil
		}
	}
	return nil, called("listArtifacts", err)
}

// OpenArtifact returns an artifact's content, decoded if it is stored
// gzipped, following links and references. The caller closes it.
func (q *Queue) OpenArtifact(ctx context.Context, taskID string, runID int, name string) (io.ReadCloser, error) {
	content, err := q.open(ctx, place{taskID, runID, name})
	return content, called("getArtifact", err)
}

func (q *Queue) open(ctx context.Context, at place) (io.ReadCloser, error) {
	at, err := q.resolveRun(at)
	if err != nil {
		return nil, err
	}
	a, err := q.follow(at, func(string) error { return nil })
	switch {
	case err != nil:
		return nil, err
	case a.StorageType == "error":
		return nil, refusedArtifact(a)
	case a.StorageType == "reference":
		return q.fetchReference(ctx, a.URL)
	}
	content, err := q.storage.Stored(storage.Of(a))
	if err != nil {
		return nil, err
	}
	f, err := q.storage.Open(content)
	if err != nil || content.Encoding != "gzip" {
		return f, err
	}
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot decode artifact %q: %w", a.Name, err), f.Close())
	}
	return decoded{Reader: unzipped, file: f}, nil
}

// decoded reads a stored file that is compressed.
type decoded struct {
	io.Reader
	file io.Closer
}

func (d decoded) Close() error { return d.file.Close() }

// fetchReference opens what a reference points to.
func (q *Queue) fetchReference(ctx context.Context, url string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("cannot follow the reference: %w", err)
	}
	answer, err := q.fetch.Do(r)
	if err != nil {
		return nil, fmt.Errorf("cannot follow the reference: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("cannot follow the reference: its server answers %s", answer.Status), answer.Body.Close())
	}
	return answer.Body, nil
}
