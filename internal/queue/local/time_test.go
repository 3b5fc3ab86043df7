package local_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local"
)

var somePool = queue.Worker{TaskQueueID: "proj-local/worker", WorkerGroup: "g", WorkerID: "i"}

// opened returns the queue of a directory, to be closed by the test.
func opened(t *testing.T, dir string) *local.Queue {
	t.Helper()
	q, err := local.Open(local.Options{Dir: dir, RootURL: "http://queue.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func closed(t *testing.T, q *local.Queue) {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

func state(t *testing.T, q *local.Queue, taskID string) string {
	t.Helper()
	s, err := q.Status(t.Context(), taskID)
	if refusal, is := errors.AsType[*queue.Error](err); is {
		return refusal.Code
	}
	if err != nil {
		t.Fatal(err)
	}
	return s.State
}

func claimed(t *testing.T, q *local.Queue) queue.Claim {
	t.Helper()
	claims, err := q.Claim(t.Context(), somePool, 1)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %d runs, %v; want 1", len(claims), err)
	}
	return claims[0]
}

// TestYears lives through a task's life at its real pace.
func TestYears(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := opened(t, dir)
		defer func() { closed(t, q) }()
		id := slugid.Nice()
		if _, err := q.CreateTask(t.Context(), id, definition(t, map[string]any{"retries": 1})); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		step := func(at time.Duration, want string) {
			t.Helper()
			time.Sleep(time.Until(start.Add(at)))
			synctest.Wait()
			if got := state(t, q, id); got != want {
				t.Errorf("after %v the task is %s, want %s", at, got, want)
			}
		}
		first := claimed(t, q)
		step(15*time.Minute, "running")
		if _, err := q.Reclaim(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		step(34*time.Minute, "running")
		step(36*time.Minute, "pending") // the renewed claim has expired

		second := claimed(t, q)
		expires := tcclient.Time(start.Add(50 * 24 * time.Hour))
		text, err := expires.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := q.CreateArtifact(t.Context(), second, "public/x", []byte(`{"storageType":"s3","contentType":"text/plain","expires":`+string(text)+`}`))
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ PutURL string }
		if err := json.Unmarshal(raw, &answer); err != nil {
			t.Fatal(err)
		}
		put := httptest.NewRequest(http.MethodPut, answer.PutURL, strings.NewReader("content"))
		put.Header.Set("Content-Type", "text/plain")
		w := httptest.NewRecorder()
		local.Handler(q).ServeHTTP(w, put)
		if w.Code != http.StatusOK {
			t.Fatalf("PUT answers %d %s", w.Code, w.Body)
		}
		step(50*time.Minute, "running")

		// What becomes due while nobody is there happens at the next start.
		closed(t, q)
		time.Sleep(30 * time.Minute)
		q = opened(t, dir)
		synctest.Wait()
		step(90*time.Minute, "exception")

		artifacts := func(want int) {
			t.Helper()
			if listed, err := q.Artifacts(t.Context(), id, 1); err != nil || len(listed) != want {
				t.Errorf("%d artifacts, %v; want %d", len(listed), err, want)
			}
			if files, err := filepath.Glob(filepath.Join(dir, "artifacts", "*", "*")); err != nil || len(files) != want {
				t.Errorf("%d files, %v; want %d", len(files), err, want)
			}
		}
		step(49*24*time.Hour, "exception")
		artifacts(1)
		step(51*24*time.Hour, "exception")
		artifacts(0)
		step(365*24*time.Hour, "exception")
		step(367*24*time.Hour, "ResourceNotFound")
		if listed, err := q.TaskGroup(t.Context(), id); err == nil {
			t.Errorf("the group still lists %d tasks", len(listed))
		}
		if recent, err := q.Recent(t.Context(), 10); err != nil || len(recent) != 0 {
			t.Errorf("%d tasks are left, %v", len(recent), err)
		}
	})
}

// TestLongPoll checks how long a claim without work takes, and that one whose
// caller gives up takes nothing.
func TestLongPoll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := opened(t, dir)
		defer closed(t, q)
		start := time.Now()
		claims, err := q.Claim(t.Context(), somePool, 1)
		if waited := time.Since(start); err != nil || len(claims) != 0 || waited != 20*time.Second {
			t.Errorf("claimed %d runs, %v, after %v; want none after 20s", len(claims), err, waited)
		}
	})
}

// TestArtifactsAfterException checks how long they may come late.
func TestArtifactsAfterException(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := opened(t, dir)
		defer closed(t, q)
		if _, err := q.CreateTask(t.Context(), slugid.Nice(), definition(t, nil)); err != nil {
			t.Fatal(err)
		}
		c := claimed(t, q)
		if err := q.Resolve(t.Context(), c, queue.Outcome{State: "exception", Reason: "malformed-payload"}); err != nil {
			t.Fatal(err)
		}
		request := []byte(`{"storageType":"error","reason":"file-missing-on-worker","message":"m","expires":"` + tcclient.Time(time.Now().Add(time.Hour)).String() + `"}`)
		for _, row := range []struct {
			sleep time.Duration
			ok    bool
		}{{24 * time.Minute, true}, {2 * time.Minute, false}} {
			time.Sleep(row.sleep)
			if _, err := q.CreateArtifact(t.Context(), c, "public/x", request); (err == nil) != row.ok {
				t.Errorf("%v later: %v, want ok=%v", row.sleep, err, row.ok)
			}
		}
	})
}

// TestReopen checks that a queue is found as it was left, without files that
// nothing refers to, and that only one process can have it.
func TestReopen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "queue")
	q := opened(t, dir)
	credentials, worker := q.Credentials(), q.WorkerCredentials()
	for _, name := range []string{"credentials.json", "worker-credentials.json", "queue.db"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 && filepath.Separator == '/' {
			t.Errorf("%s has mode %v; nobody else may read it", name, info.Mode())
		}
	}
	_, err := local.Open(local.Options{Dir: dir})
	if want := "another generic-worker is using queue directory " + dir; err == nil || err.Error()[:len(want)] != want {
		t.Errorf("opened twice: %v, want %q", err, want)
	}
	closed(t, q)

	lost := filepath.Join(dir, "artifacts", "a", "abandoned.part")
	if err := os.MkdirAll(filepath.Dir(lost), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lost, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	q = opened(t, dir)
	if q.Credentials() != credentials || q.WorkerCredentials() != worker {
		t.Error("the credentials changed")
	}
	if _, err := os.Stat(lost); !os.IsNotExist(err) {
		t.Errorf("an abandoned file is still there: %v", err)
	}
	closed(t, q)

	if err := os.WriteFile(filepath.Join(dir, "credentials.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Open(local.Options{Dir: dir}); err == nil {
		t.Error("opened with a broken credentials file")
	}
}
