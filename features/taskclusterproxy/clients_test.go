package taskclusterproxy

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/httpbackoff/v3"
	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcindex"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcsecrets"

	"github.com/taskcluster/generic-worker/internal/tooltest"
)

// clientScopes are what the clients' stories need.
func clientScopes() []string {
	return []string{
		"secrets:get:project/*", "secrets:set:project/*", "index:insert-task:project.*",
		"queue:create-task:lowest:" + pool, "queue:create-task:project:none", "queue:scheduler-id:sched",
	}
}

// TestJavaScriptClient runs testdata/npm/story.js: the official client from
// npm, unchanged, with the proxy as its root URL.
func TestJavaScriptClient(t *testing.T) {
	t.Parallel()
	const pinned = "../../internal/queue/local/testdata/npm"
	dir := tooltest.NPM(t, pinned+"/package.json", pinned+"/package-lock.json", "testdata/npm/story.js")
	s := newSite(t)
	r := s.run(t, s.feature(Config{}), s.claim(t, clientScopes()...))
	story := exec.CommandContext(t.Context(), "node", "story.js")
	story.Dir = dir
	story.Env = append(os.Environ(), "ROOT_URL="+s.url, "TASKCLUSTER_PROXY_URL="+r.url, "TASK_ID="+r.TaskID, "POOL="+pool)
	if text, err := story.CombinedOutput(); err != nil {
		t.Errorf("the story ends early: %v\n%s", err, text)
	}
}

// TestGoClient does the same with the Go client of Taskcluster.
func TestGoClient(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(t, s.feature(Config{}), s.claim(t, clientScopes()...))
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	queue, secrets, index := tcqueue.New(nil, r.url), tcsecrets.New(nil, r.url), tcindex.New(nil, r.url)
	queue.HTTPClient, secrets.HTTPClient, index.HTTPClient = client, client, client
	expires := tcclient.Time(time.Now().Add(30 * time.Minute))
	refused := func(err error, want int) {
		t.Helper()
		call, _ := errors.AsType[*tcclient.APICallException](err)
		if call == nil {
			t.Errorf("got %v, not %d", err, want)
			return
		}
		if code, _ := errors.AsType[httpbackoff.BadHttpResponseCode](call.RootCause); code.HttpResponseCode != want {
			t.Errorf("got %v, not %d", err, want)
		}
	}

	if task, err := queue.Task(r.TaskID); err != nil || task.Metadata.Name != "n" {
		t.Errorf("got %+v, %v", task, err)
	}
	if err := secrets.Set("project/go", &tcsecrets.Secret{Expires: expires, Secret: json.RawMessage(`{"key":"value"}`)}); err != nil {
		t.Error(err)
	}
	if secret, err := secrets.Get("project/go"); err != nil || string(secret.Secret) != `{"key":"value"}` {
		t.Errorf("got %+v, %v", secret, err)
	}
	_, err := secrets.Get("other")
	refused(err, http.StatusForbidden)
	if _, err := index.InsertTask("project.go.a", &tcindex.InsertTaskRequest{TaskID: r.TaskID, Data: json.RawMessage(`{}`), Expires: expires}); err != nil {
		t.Error(err)
	}
	if found, err := index.FindTask("project.go.a"); err != nil || found.TaskID != r.TaskID {
		t.Errorf("got %+v, %v", found, err)
	}
	definition := &tcqueue.TaskDefinitionRequest{
		TaskQueueID: pool, SchedulerID: "sched", Created: tcclient.Time(time.Now()), Deadline: tcclient.Time(time.Now().Add(time.Hour)),
		Expires: tcclient.Time(time.Now().Add(2 * time.Hour)), Payload: json.RawMessage(`{}`),
		Metadata: tcqueue.TaskMetadata{Name: "made by a task", Description: "d", Owner: "nobody@example.com", Source: "https://example.com"},
	}
	taskID := slugid.Nice()
	if status, err := queue.CreateTask(taskID, definition); err != nil || status.Status.State != "pending" {
		t.Errorf("got %+v, %v", status, err)
	}
	definition.Scopes = []string{"more"}
	_, err = queue.CreateTask(slugid.Nice(), definition)
	refused(err, http.StatusForbidden)
	artifact := tcqueue.PostArtifactRequest(`{"storageType":"s3","contentType":"text/plain","expires":"` + expires.String() + `"}`)
	if _, err := queue.CreateArtifact(r.TaskID, "0", "public/go.txt", &artifact); err != nil {
		t.Error(err)
	}
	_, err = queue.CreateArtifact(taskID, "0", "public/go.txt", &artifact)
	refused(err, http.StatusForbidden)
}

// TestCurl makes the calls as the documents have always had them: the name
// "taskcluster", and the service without /api.
func TestCurl(t *testing.T) {
	t.Parallel()
	tooltest.Need(t, "curl")
	s := newSite(t)
	r := s.run(t, s.feature(Config{}), s.claim(t, clientScopes()...))
	port := r.url[strings.LastIndex(r.url, ":")+1:]
	curl := func(args ...string) string {
		t.Helper()
		// As if the name led here and the proxy had port 80.
		args = append([]string{"--silent", "--show-error", "--connect-to", "taskcluster:80:127.0.0.1:" + port}, args...)
		text, err := exec.CommandContext(t.Context(), "curl", args...).CombinedOutput()
		if err != nil {
			t.Errorf("curl %q: %v %s", args, err, text)
		}
		return string(text)
	}
	for _, test := range []struct {
		want string
		args []string
	}{
		{`"name":"n"`, []string{"taskcluster/queue/v1/task/" + r.TaskID}},
		{`"alive":true`, []string{"http://taskcluster/api/queue/v1/ping"}},
		{`{}`, []string{
			"taskcluster/secrets/v1/secret/project/curl", "--request", "PUT", "--header", "Content-Type:",
			"--data", `{"secret":{"a":"b"},"expires":"2099-01-01T00:00:00.000Z"}`,
		}},
		{`{"secret":{"a":"b"}`, []string{"taskcluster/secrets/v1/secret/project/curl"}},
		{"InsufficientScopes", []string{"taskcluster/secrets/v1/secret/other"}},
		{"404 Not Found", []string{"--head", "taskcluster/scheduler/v1/whatever"}},
		{"names no call of a service", []string{"taskcluster/queue/v1"}},
		{"the path begins with neither a service nor a host", []string{"taskcluster/"}},
	} {
		if got := curl(test.args...); !strings.Contains(got, test.want) {
			t.Errorf("curl %q prints %s", test.args, got)
		}
	}
}
