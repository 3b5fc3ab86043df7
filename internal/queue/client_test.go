package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

var _ queuetest.Queue = (*queue.Client)(nil)

var worker = queue.Worker{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "here", WorkerID: "w1"}

// hasty are limits under which a test of retries ends soon.
var hasty = queue.Limits{
	FirstByte: 5 * time.Second, LongPoll: 5 * time.Second, Idle: 5 * time.Second, Total: 10 * time.Second,
	FirstPause: time.Millisecond, MaxPause: 5 * time.Millisecond, Elapsed: 10 * time.Second,
}

// start returns a fake queue and a client of it that does not wait long
// between attempts.
func start(t testing.TB, o queuetest.FakeOptions) (*queuetest.Fake, *queue.Client) {
	f := queuetest.StartFake(t, o)
	quick := queue.Limits{FirstPause: time.Millisecond, MaxPause: 5 * time.Millisecond}
	return f, &queue.Client{RootURL: f.URL, Limits: quick}
}

func claimOne(t testing.TB, c *queue.Client) queue.Claim {
	t.Helper()
	claims, err := c.Claim(t.Context(), worker, 1)
	if err != nil || len(claims) != 1 {
		t.Fatalf("Claim: %d claims, %v", len(claims), err)
	}
	return claims[0]
}

func noViolations(t testing.TB, f *queuetest.Fake) {
	t.Helper()
	if bad := f.Violations(); len(bad) > 0 {
		t.Errorf("violations: %q", bad)
	}
}

func count(f *queuetest.Fake, endpoint string) (n int) {
	for _, call := range f.Calls() {
		if call.Endpoint == endpoint {
			n++
		}
	}
	return n
}

func in(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }

func s3Request() json.RawMessage {
	return json.RawMessage(`{"storageType": "s3",  "contentType": "text/plain", "expires": "` + in(time.Hour) + `"}`)
}

func upload(t testing.TB, c *queue.Client, claim queue.Claim, name, encoding string, data []byte) {
	t.Helper()
	answer, err := c.CreateArtifact(t.Context(), claim, name, s3Request())
	if err != nil {
		t.Fatal(err)
	}
	var s3 struct{ PutURL string }
	if err := json.Unmarshal(answer, &s3); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s3.PutURL, strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	resp, err := queue.NewHTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("PUT: %s", resp.Status)
	}
}

// transport answers requests without a network, so that synctest can follow.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// respond makes an answer with a Date header of now.
func respond(status int, body string, header ...string) *http.Response {
	h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{
		StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// offline returns a client whose requests are answered by answer.
func offline(answer transport) *queue.Client {
	return &queue.Client{RootURL: "https://tc.example.com", HTTP: &http.Client{Transport: answer}}
}

// logged collects what a client logs.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestClientMakesEveryCall(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{PageSize: 2})
	ctx := t.Context()
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	definition := json.RawMessage(`{"taskQueueId": "test-provisioner/test-worker", "created": "` + in(0) + `", "deadline": "` + in(time.Hour) + `",
		"taskGroupId": "fN1SbArXTPSVFNUvaOlinQ", "payload": {"a": "<&>"}, "metadata": {"name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com"}}`)
	ids := []string{"VNUJPkKUQICbX0AQECFtbw", "KL7AEgskQQaGYQOTbUCKGg", "YIbhOvzMQ0qWCY0vbjtZWg"}
	for _, id := range ids {
		for range 2 {
			status, err := c.CreateTask(ctx, id, definition)
			if err != nil || status.State != "pending" {
				t.Fatalf("CreateTask: %+v, %v", status, err)
			}
		}
	}
	raw, err := c.Task(ctx, ids[0])
	if err != nil || !json.Valid(raw) || !strings.Contains(string(raw), `"taskGroupId":"fN1SbArXTPSVFNUvaOlinQ"`) {
		t.Errorf("Task: %s, %v", raw, err)
	}
	group, err := c.TaskGroup(ctx, "fN1SbArXTPSVFNUvaOlinQ")
	var got []string
	for _, status := range group {
		got = append(got, status.TaskID)
	}
	if diff := cmp.Diff(ids, got); err != nil || diff != "" {
		t.Errorf("TaskGroup: %v (-want +got):\n%s", err, diff)
	}
	for name, call := range map[string]func() (any, error){
		"ScheduleTask": func() (any, error) { return c.ScheduleTask(ctx, ids[0]) },
		"CancelTask":   func() (any, error) { return c.CancelTask(ctx, ids[1]) },
		"RerunTask":    func() (any, error) { return c.RerunTask(ctx, ids[2]) },
		"Status":       func() (any, error) { return c.Status(ctx, ids[2]) },
	} {
		if status, err := call(); err != nil {
			t.Errorf("%s: %+v, %v", name, status, err)
		}
	}
	if _, err := c.Status(ctx, "nobody"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("Status of no task: %v", err)
	}
	noViolations(t, f)
}

func TestClientListsAllPagesOfArtifacts(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{PageSize: 2})
	id := f.AddTask(nil)
	claim := claimOne(t, c)
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("public/%d", i)
		want = append(want, name)
		if _, err := c.CreateArtifact(t.Context(), claim, name, s3Request()); err != nil {
			t.Fatal(err)
		}
	}
	for _, runID := range []int{0, -1} {
		list, err := c.Artifacts(t.Context(), id, runID)
		var got []string
		for _, artifact := range list {
			got = append(got, artifact.Name)
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Artifacts of run %d: %v (-want +got):\n%s", runID, err, diff)
		}
	}
	noViolations(t, f)
}

// Version 44 of the Taskcluster client sends a space as a plus sign, which the
// queue keeps: the artifact has another name then.
func TestClientEscapesArtifactNames(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{})
	id := f.AddTask(nil)
	claim := claimOne(t, c)
	for _, name := range []string{
		"public/a b", "public/a+b", "public/a%20b", "100%", "public/größe/日本", "a?b#c;d", "..", ".", "a//b/", "public/\"quoted\"", "x&y=z:@",
	} {
		upload(t, c, claim, name, "", []byte(name))
		body, err := c.OpenArtifact(t.Context(), id, 0, name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		got, err := io.ReadAll(body)
		body.Close()
		if string(got) != name || err != nil {
			t.Errorf("%q holds %q, %v", name, got, err)
		}
		if run, _ := f.Run(id, 0); run.Artifact(name).Name != name {
			t.Errorf("%q is not an artifact of the run", name)
		}
	}
	noViolations(t, f)
}

// Dot segments would be resolved on the way.
func TestClientSendsNoDotSegments(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{".": "%2E", "..": "%2E.", "../x": "..%2Fx", "...": "..."} {
		c := offline(func(r *http.Request) (*http.Response, error) {
			if got := r.URL.RequestURI(); got != "/api/queue/v1/task/x/runs/0/artifacts/"+want {
				t.Errorf("%q is sent as %s", name, got)
			}
			return respond(404, `{"code": "ResourceNotFound", "message": "no"}`), nil
		})
		if _, err := c.OpenArtifact(t.Context(), "x", 0, name); !errors.Is(err, queue.ErrNotFound) {
			t.Error(err)
		}
	}
}

func TestClientRefusesBadRootURL(t *testing.T) {
	t.Parallel()
	for _, root := range []string{
		"", "tc.example.com", "ftp://tc.example.com", "https://", ":",
		"https://u:hunter2@tc.example.com", "https://u:hunter2@tc.example.com:port", "hunter2:tc.example.com",
	} {
		c := &queue.Client{RootURL: root}
		err := c.Ping(t.Context())
		if err == nil || errors.Is(err, queue.ErrUnavailable) || !strings.Contains(err.Error(), "root URL") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("root URL %q: %v", root, err)
		}
	}
}

func TestQ10_RefusalsAreFinalAndTyped(t *testing.T) {
	t.Parallel()
	for status, class := range map[int]error{
		400: queue.ErrMalformed, 401: queue.ErrUnauthorized, 403: queue.ErrUnauthorized,
		404: queue.ErrNotFound, 409: queue.ErrConflict, 410: queue.ErrNotFound, 413: queue.ErrMalformed,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			f, c := start(t, queuetest.FakeOptions{})
			for name, call := range calls(c) {
				claim := claimNew(t, f, c)
				f.Inject(queuetest.Fault{Endpoint: name, Kind: queuetest.FaultStatus, Status: status})
				err := call(t.Context(), claim)
				refused, ok := errors.AsType[*queue.Error](err)
				if !ok || !errors.Is(err, class) || refused.Status != status || refused.Message != "injected fault" {
					t.Errorf("%s: %v", name, err)
				}
				if made := count(f, name); made != 1 {
					t.Errorf("%s was made %d times", name, made)
				}
			}
		})
	}
}

// claimNew claims a new task, without faults.
func claimNew(t testing.TB, f *queuetest.Fake, c *queue.Client) queue.Claim {
	t.Helper()
	f.ClearFaults()
	f.AddTask(nil)
	return claimOne(t, c)
}

// calls are the calls that are retried, by endpoint.
func calls(c *queue.Client) map[string]func(context.Context, queue.Claim) error {
	return map[string]func(context.Context, queue.Claim) error{
		"status": func(ctx context.Context, claim queue.Claim) error { _, err := c.Status(ctx, claim.TaskID); return err },
		"task":   func(ctx context.Context, claim queue.Claim) error { _, err := c.Task(ctx, claim.TaskID); return err },
		"reclaimTask": func(ctx context.Context, claim queue.Claim) error {
			_, err := c.Reclaim(ctx, claim)
			return err
		},
		"createArtifact": func(ctx context.Context, claim queue.Claim) error {
			_, err := c.CreateArtifact(ctx, claim, "public/a", s3Request())
			return err
		},
		"finishArtifact": func(ctx context.Context, claim queue.Claim) error {
			return c.FinishArtifact(ctx, claim, "public/o", "id")
		},
		"listArtifacts": func(ctx context.Context, claim queue.Claim) error {
			_, err := c.Artifacts(ctx, claim.TaskID, claim.RunID)
			return err
		},
		"getArtifact": func(ctx context.Context, claim queue.Claim) error {
			_, err := c.OpenArtifact(ctx, claim.TaskID, claim.RunID, "public/a")
			return err
		},
		"reportCompleted": func(ctx context.Context, claim queue.Claim) error {
			return c.Resolve(ctx, claim, queue.Outcome{State: "completed"})
		},
		"reportException": func(ctx context.Context, claim queue.Claim) error {
			return c.Resolve(ctx, claim, queue.Outcome{State: "exception", Reason: "internal-error"})
		},
	}
}
