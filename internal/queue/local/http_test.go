package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local"
)

// server is a queue that is served on a real socket.
type server struct {
	*local.Queue
	url string
}

func serve(t *testing.T, options local.Options) *server {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	options.RootURL = "http://" + s.Listener.Addr().String()
	if options.Dir == "" {
		options.Dir = t.TempDir()
	}
	q, err := local.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = local.Handler(q)
	s.Start()
	t.Cleanup(func() {
		s.Close()
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return &server{Queue: q, url: options.RootURL}
}

func permanent(c queue.Credentials) *tcclient.Credentials {
	return &tcclient.Credentials{ClientID: c.ClientID, AccessToken: string(c.AccessToken), Certificate: string(c.Certificate)}
}

// client is the client of Taskcluster's own module.
func (s *server) client(t *testing.T, c *tcclient.Credentials) *tcqueue.Queue {
	t.Helper()
	q := tcqueue.New(c, s.url)
	q.Context = t.Context()
	return q
}

func definition(t *testing.T, change map[string]any) json.RawMessage {
	t.Helper()
	now := time.Now()
	d := map[string]any{
		"taskQueueId": "proj-local/worker",
		"created":     tcclient.Time(now),
		"deadline":    tcclient.Time(now.Add(time.Hour)),
		"payload":     map[string]any{"command": [][]string{{"true"}}},
		"metadata": map[string]any{
			"name": "a task", "description": "for a test", "owner": "nobody@example.com", "source": "https://example.com/",
		},
	}
	for name, value := range change {
		if value == nil {
			delete(d, name)
			continue
		}
		d[name] = value
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// send makes a signed call and returns its status and body.
func (s *server) send(t *testing.T, c *tcclient.Credentials, verb, path string, body []byte) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), verb, s.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c != nil {
		if err := c.SignRequest(r); err != nil {
			t.Fatal(err)
		}
	}
	return do(t, r)
}

func do(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	answer, err := noRedirects.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// TestGoClient does with the Go client of Taskcluster what a worker does.
func TestGoClient(t *testing.T) {
	t.Parallel()
	s := serve(t, local.Options{LongPoll: time.Millisecond})
	people := s.client(t, permanent(s.Credentials()))
	var d tcqueue.TaskDefinitionRequest
	if err := json.Unmarshal(definition(t, nil), &d); err != nil {
		t.Fatal(err)
	}
	d.Expires = tcclient.Time(time.Now().Add(48 * time.Hour))
	taskID := slugid.Nice()
	created, err := people.CreateTask(taskID, &d)
	if err != nil || created.Status.State != "pending" {
		t.Fatalf("createTask: %v, %v", created, err)
	}

	worker := s.client(t, permanent(s.WorkerCredentials()))
	work, err := worker.ClaimWork("proj-local/worker", &tcqueue.ClaimWorkRequest{Tasks: 4, WorkerGroup: "here", WorkerID: "this"})
	if err != nil || len(work.Tasks) != 1 {
		t.Fatalf("claimWork: %v, %v", work, err)
	}
	claim := work.Tasks[0]
	prefix := fmt.Sprintf("task-client/%s/0/on/here/this/until/", taskID)
	if !strings.HasPrefix(claim.Credentials.ClientID, prefix) {
		t.Errorf("claim's clientId is %q, want %q and a time", claim.Credentials.ClientID, prefix)
	}
	run := s.client(t, &tcclient.Credentials{
		ClientID: claim.Credentials.ClientID, AccessToken: claim.Credentials.AccessToken, Certificate: claim.Credentials.Certificate,
	})
	renewed, err := run.ReclaimTask(taskID, "0")
	if err != nil || time.Time(renewed.TakenUntil).Before(time.Time(claim.TakenUntil)) {
		t.Fatalf("reclaimTask: %v, %v", renewed, err)
	}
	request := tcqueue.PostArtifactRequest(fmt.Sprintf(
		`{"storageType":"s3","contentType":"text/plain","expires":%q}`, tcclient.Time(time.Now().Add(time.Hour)),
	))
	posted, err := run.CreateArtifact(taskID, "0", "public/a/b.txt", &request)
	if err != nil {
		t.Fatal(err)
	}
	var where struct{ PutURL string }
	if err := json.Unmarshal(*posted, &where); err != nil {
		t.Fatal(err)
	}
	put, err := http.NewRequestWithContext(t.Context(), http.MethodPut, where.PutURL, strings.NewReader("what the task left"))
	if err != nil {
		t.Fatal(err)
	}
	put.Header.Set("Content-Type", "text/plain")
	if status, text := do(t, put); status != http.StatusOK {
		t.Fatalf("PUT answers %d %s", status, text)
	}
	if _, err := run.ReportCompleted(taskID, "0"); err != nil {
		t.Fatal(err)
	}
	status, err := people.Status(taskID)
	if err != nil || status.Status.State != "completed" {
		t.Fatalf("status: %v, %v", status, err)
	}
	content, _, _, err := people.DownloadArtifactToBuf(taskID, 0, "public/a/b.txt")
	if err != nil || string(content) != "what the task left" {
		t.Fatalf("artifact: %q, %v", content, err)
	}
	if _, err := run.ReportFailed(taskID, "0"); !strings.Contains(fmt.Sprint(err), "RequestConflict") {
		t.Errorf("a second, different report: %v, want RequestConflict", err)
	}
}

// TestCloseEndsLongPolls closes a queue in which someone waits.
func TestCloseEndsLongPolls(t *testing.T) {
	t.Parallel()
	q, err := local.Open(local.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := q.Claim(context.Background(), queue.Worker{TaskQueueID: "p/w", WorkerGroup: "g", WorkerID: "i"}, 1)
		ended <- err
	}()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("claim ended with %v, want an error that says the queue is closed", err)
	}
}

// TestPages reads lists in pages.
func TestPages(t *testing.T) {
	t.Parallel()
	s := serve(t, local.Options{LongPoll: time.Millisecond})
	people := s.client(t, permanent(s.Credentials()))
	first := slugid.Nice()
	if _, err := s.CreateTask(t.Context(), first, definition(t, nil)); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for range 5 {
		id := slugid.Nice()
		want[id] = true
		if _, err := s.CreateTask(t.Context(), id, definition(t, map[string]any{"dependencies": []string{first}})); err != nil {
			t.Fatal(err)
		}
	}
	pages := 0
	for token, more := "", true; more; pages++ {
		listed, err := people.ListDependentTasks(first, token, "2")
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range listed.Tasks {
			if !want[d.Status.TaskID] || d.Task.Dependencies[0] != first {
				t.Errorf("listed %s, which is unknown or was listed before", d.Status.TaskID)
			}
			delete(want, d.Status.TaskID)
		}
		token = listed.ContinuationToken
		more = token != ""
	}
	if pages != 3 || len(want) != 0 {
		t.Errorf("%d pages lack %v, want all in 3 pages", pages, want)
	}
	recent, err := s.Recent(t.Context(), 6)
	if err != nil || len(recent) != 6 || recent[5].TaskID != first {
		t.Errorf("recent tasks are %v, %v; want 6, the oldest last", recent, err)
	}
}

// TestWhereShellsWouldBe follows the link to the shell of a task.
func TestWhereShellsWouldBe(t *testing.T) {
	t.Parallel()
	s := serve(t, local.Options{})
	id := slugid.Nice()
	for query, want := range map[string]string{
		"v=2&socketUrl=ws%3A%2F%2F127.0.0.1%2Fshell%2Fsesame&runId=0&taskId=" + id: "task shell --config FILE " + id + "\n",
		"taskId=%3Cscript%3E": "task shell --config FILE TASK_ID\n",
		"":                    "task shell --config FILE TASK_ID\n",
	} {
		response, err := http.Get(s.url + "/shell/?" + query)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(text), want) || strings.Contains(string(text), "sesame") {
			t.Errorf("%s: status %d, %s, %v", query, response.StatusCode, text, err)
		}
		if kind := response.Header.Get("Content-Type"); kind != "text/plain; charset=utf-8" {
			t.Errorf("it is %s", kind)
		}
	}
}
