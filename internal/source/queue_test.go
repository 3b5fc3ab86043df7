package source_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/source"
)

const taskID = "Task00000000000000000A"

// deployment is a queue with one task, whose artifacts are at a storage server
// that speaks https.
type deployment struct {
	*source.Queue
	storage string // host
	asked   atomic.Int32
}

func deploy(t *testing.T) *deployment {
	t.Helper()
	storage := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("storage got credentials for %s", r.RequestURI)
		}
		if r.URL.Path == "/absent" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, "stored"+r.URL.Path)
	}))
	t.Cleanup(storage.Close)
	d := &deployment{storage: strings.TrimPrefix(storage.URL, "https://")}
	const task = "/api/queue/v1/task/" + taskID
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		d.asked.Add(1)
		signed := strings.HasPrefix(r.Header.Get("Authorization"), "Hawk ")
		path := r.URL.EscapedPath()
		if strings.Contains(path, "artifacts/public%2F") == signed {
			t.Errorf("%s is signed: %t", path, signed)
		}
		redirect := func(to string) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusSeeOther)
		}
		switch path {
		case task:
			fmt.Fprint(w, `{"payload": {"b":1, "a":1.0}}`)
		case task + "/status":
			fmt.Fprintf(w, `{"status":{"taskId":%q,"runs":[
				{"runId":0,"state":"exception","resolved":"2031-01-01T00:00:01.000Z"},
				{"runId":1,"state":"completed","started":"2031-01-01T00:00:02.000Z","resolved":"2031-01-01T00:00:03.000Z"}]}}`, taskID)
		case "/api/queue/v1/task/odd", "/api/queue/v1/task/gone", "/api/queue/v1/task/forbidden":
			if strings.HasSuffix(path, "forbidden") {
				http.Error(w, `{"code":"InsufficientScopes","message":"no"}`, http.StatusForbidden)
				return
			}
			fmt.Fprint(w, `{}`)
		case "/api/queue/v1/task/odd/status":
			fmt.Fprint(w, `{"status":{"taskId":"odd","runs":[{"runId":1}]}}`)
		case task + "/runs/1/artifacts":
			if r.URL.Query().Get("continuationToken") == "" {
				fmt.Fprint(w, `{"artifacts":[{"name":"public/a"}],"continuationToken":"x"}`)
				return
			}
			fmt.Fprint(w, `{"artifacts":[{"name":"private/b"}]}`)
		case task + "/runs/1/artifacts/public%2Fa":
			redirect(storage.URL + "/a")
		case task + "/runs/1/artifacts/private%2Fb":
			redirect(storage.URL + "/b?signature=x")
		case task + "/runs/1/artifacts/public%2Fmissing":
			redirect(storage.URL + "/absent")
		case task + "/runs/1/artifacts/public%2Felsewhere":
			redirect("https://evil.example.com/a")
		case task + "/runs/1/artifacts/public%2Fplain":
			redirect("http://" + d.storage + "/a")
		case task + "/runs/1/artifacts/public%2Fown":
			redirect(task + "/runs/1/artifacts/public%2Fa")
		case task + "/runs/1/artifacts/public%2Ferror":
			http.Error(w, `{"reason":"file-missing-on-worker","message":"no file"}`, http.StatusFailedDependency)
		default:
			http.Error(w, `{"code":"ResourceNotFound","message":"no such task"}`, http.StatusNotFound)
		}
	})
	d.Queue = &source.Queue{
		RootURL: base, Storage: []string{d.storage}, HTTP: storage.Client(),
		Credentials: func() queue.Credentials {
			return queue.Credentials{ClientID: "verifier", AccessToken: "s3cret"}
		},
		Limits: queue.Limits{Elapsed: 50 * time.Millisecond, FirstPause: time.Millisecond},
	}
	return d
}

func TestQueueTask(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	at := func(second int) time.Time { return time.Date(2031, 1, 1, 0, 0, second, 0, time.UTC) }
	want := &chain.Task{Definition: []byte(`{"payload": {"b":1, "a":1.0}}`), Runs: []chain.Run{
		{State: "exception", Resolved: at(1)}, {State: "completed", Started: at(2), Resolved: at(3)},
	}}
	for range 2 {
		got, err := d.Task(t.Context(), taskID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if n := d.asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	for taskID, absent := range map[string]bool{"unknown": true, "gone": true, "odd": false, "forbidden": false} {
		if _, err := d.Task(t.Context(), taskID); err == nil || errors.Is(err, chain.ErrNotFound) != absent {
			t.Errorf("%s: %v", taskID, err)
		}
	}
}

func TestQueueArtifacts(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	for range 2 {
		names, err := d.Artifacts(t.Context(), taskID, 1)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"public/a", "private/b"}, names); diff != "" {
			t.Error(diff)
		}
	}
	if n := d.asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	if _, err := d.Artifacts(t.Context(), taskID, 0); !errors.Is(err, chain.ErrNotFound) {
		t.Error(err)
	}
	if _, err := d.Artifacts(t.Context(), taskID, -1); err == nil || errors.Is(err, chain.ErrNotFound) {
		t.Error(err)
	}
	for name, row := range map[string]struct {
		run          int
		want, reason string
		absent       bool
	}{
		"public/a":         {1, "stored/a", "", false},
		"private/b":        {1, "stored/b", "", false},
		"public/own":       {1, "stored/a", "", false},
		"public/unknown":   {1, "", "does not exist", true},
		"public/missing":   {1, "", "does not exist", true},
		"public/error":     {1, "", "file-missing-on-worker", true},
		"public/elsewhere": {1, "", "at https://evil.example.com, which is none of the servers", false},
		"public/plain":     {1, "", "which is none of the servers", false},
		"public/latest":    {-1, "", "run -1 is none", false},
	} {
		started := time.Now()
		content, err := d.Artifact(t.Context(), taskID, row.run, name)
		if row.reason != "" {
			if err == nil || !strings.Contains(err.Error(), row.reason) || errors.Is(err, chain.ErrNotFound) != row.absent {
				t.Errorf("%s: %v", name, err)
			}
			if time.Since(started) > 5*time.Second {
				t.Errorf("%s was tried for %s", name, time.Since(started))
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text, err := io.ReadAll(content)
		if err := errors.Join(err, content.Close()); err != nil || string(text) != row.want {
			t.Errorf("%s: %s, error %v", name, text, err)
		}
	}
}

// TestStorage shows which hosts a pattern is for.
func TestStorage(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	_, after, _ := strings.Cut(d.storage, ".")
	for pattern, allowed := range map[string]bool{
		d.storage: true, "*." + after: true, "*": false, "*." + d.storage: false, "example.com": false, "": false,
	} {
		q := &source.Queue{RootURL: d.RootURL, HTTP: d.HTTP, Storage: []string{pattern}, Limits: d.Limits}
		content, err := q.Artifact(t.Context(), taskID, 1, "public/a")
		if (err == nil) != allowed {
			t.Errorf("%s: %v", pattern, err)
		}
		if err == nil {
			content.Close()
		}
	}
}
