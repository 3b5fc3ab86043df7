package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/internal/queue"
)

// Queue is a Taskcluster deployment as a chain.Source. It remembers tasks and
// lists of artifacts as long as it lives, which is meant to be one verification.
// Its methods may be called concurrently; it must not be copied after first
// use.
type Queue struct {
	// RootURL is the address of the deployment.
	RootURL string
	// Credentials sign all requests to the queue but those for artifacts whose
	// name begins with public/. Nil: none are signed.
	Credentials func() queue.Credentials
	// Storage are the hosts, besides the deployment's own, that artifacts may be
	// at, as in bucket.s3.us-west-2.amazonaws.com; with a * for the first
	// label, all hosts that differ in it. They are asked by https only.
	Storage []string
	// HTTP sends the requests; nil means one made by queue.NewHTTPClient. Only
	// its transport is used.
	HTTP *http.Client
	Log  *slog.Logger // gets one line per retry; nil discards them
	// Limits bounds the waits. Elapsed, of all attempts of one request together, is 2 min
	// unless set.
	Limits queue.Limits

	prepare        sync.Once
	signed, public *queue.Client
	tasks          memo[*chain.Task]
	names          memo[[]string]
}

var _ chain.Source = (*Queue)(nil)

const publicPrefix = "public/"

func (q *Queue) start() {
	client := q.HTTP
	if client == nil {
		client = queue.NewHTTPClient()
	}
	sender := client.Transport
	if sender == nil {
		sender = http.DefaultTransport
	}
	limits := q.Limits
	if limits.Elapsed == 0 {
		limits.Elapsed = 2 * time.Minute
	}
	guarded := &http.Client{Transport: &guard{sender: sender, root: q.RootURL, storage: q.Storage}}
	q.public = &queue.Client{RootURL: q.RootURL, HTTP: guarded, Log: q.Log, Limits: limits}
	q.signed = &queue.Client{RootURL: q.RootURL, Credentials: q.Credentials, HTTP: guarded, Log: q.Log, Limits: limits}
}

// Task returns the definition and the runs of a task.
func (q *Queue) Task(ctx context.Context, taskID string) (*chain.Task, error) {
	q.prepare.Do(q.start)
	return q.tasks.get(ctx, taskID, func(ctx context.Context) (*chain.Task, error) {
		definition, err := q.signed.Task(ctx, taskID)
		if err != nil {
			return nil, absent(err, "task "+taskID)
		}
		status, err := q.signed.Status(ctx, taskID)
		if err != nil {
			return nil, absent(err, "task "+taskID)
		}
		task := &chain.Task{Definition: json.RawMessage(definition)}
		for i, run := range status.Runs {
			if run.RunID != int64(i) {
				return nil, fmt.Errorf("cannot read the status of task %s: its run %d is at place %d", taskID, run.RunID, i)
			}
			task.Runs = append(task.Runs, chain.Run{
				State: run.State, Started: time.Time(run.Started), Resolved: time.Time(run.Resolved),
			})
		}
		return task, nil
	})
}

// Artifact returns the bytes of an artifact of one run.
func (q *Queue) Artifact(ctx context.Context, taskID string, runID int, name string) (io.ReadCloser, error) {
	q.prepare.Do(q.start)
	if runID < 0 {
		return nil, fmt.Errorf("cannot get artifact %s of task %s: run %d is none", name, taskID, runID)
	}
	client := q.signed
	if strings.HasPrefix(name, publicPrefix) {
		client = q.public
	}
	content, err := client.OpenArtifact(ctx, taskID, runID, name)
	if err != nil {
		return nil, absent(err, fmt.Sprintf("artifact %s of task %s, run %d", name, taskID, runID))
	}
	return content, nil
}

// Artifacts returns the names of all artifacts of one run.
func (q *Queue) Artifacts(ctx context.Context, taskID string, runID int) ([]string, error) {
	q.prepare.Do(q.start)
	if runID < 0 {
		return nil, fmt.Errorf("cannot list the artifacts of task %s: run %d is none", taskID, runID)
	}
	return q.names.get(ctx, fmt.Sprintf("%s %d", taskID, runID), func(ctx context.Context) ([]string, error) {
		list, err := q.signed.Artifacts(ctx, taskID, runID)
		if err != nil {
			return nil, absent(err, fmt.Sprintf("run %d of task %s", runID, taskID))
		}
		names := make([]string, len(list))
		for i, artifact := range list {
			names[i] = artifact.Name
		}
		return names, nil
	})
}

// statusErrorArtifact is what the queue answers for an artifact that is the
// reason why there is no content.
const statusErrorArtifact = 424

// absent makes chain.ErrNotFound of the queue's word for it.
func absent(err error, what string) error {
	refused, ok := errors.AsType[*queue.Error](err)
	if errors.Is(err, queue.ErrNotFound) || ok && refused.Status == statusErrorArtifact {
		return fmt.Errorf("%s %w: %w", what, chain.ErrNotFound, err)
	}
	return fmt.Errorf("cannot get %s: %w", what, err)
}

// guard lets requests go to the deployment and to its storage only.
type guard struct {
	sender  http.RoundTripper
	root    string
	storage []string
}

// RoundTrip answers for servers that must not be asked. It is an answer and no
// error, since after an error a client would try again.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if g.allows(req.URL) {
		return g.sender.RoundTrip(req)
	}
	message := "the artifact is at %s://%s, which is none of the servers that artifacts may come from; add its host to them if it should be"
	text, err := json.Marshal(map[string]string{
		"code": "ServerNotAllowed", "message": fmt.Sprintf(message, req.URL.Scheme, req.URL.Host),
	})
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: "403 Forbidden", StatusCode: http.StatusForbidden, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
		Body: io.NopCloser(strings.NewReader(string(text))), ContentLength: int64(len(text)),
	}, nil
}

func (g *guard) allows(where *url.URL) bool {
	root, err := url.Parse(g.root)
	if err != nil {
		return false
	}
	if where.Scheme == root.Scheme && strings.EqualFold(where.Host, root.Host) {
		return true
	}
	if where.Scheme != "https" {
		return false
	}
	_, parent, _ := strings.Cut(where.Host, ".")
	for _, host := range g.storage {
		if rest, ok := strings.CutPrefix(host, "*."); strings.EqualFold(host, where.Host) || ok && strings.EqualFold(rest, parent) {
			return true
		}
	}
	return false
}
