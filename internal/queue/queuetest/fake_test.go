package queuetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

var worker = queue.Worker{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "here", WorkerID: "w1"}

func start(t testing.TB, o queuetest.FakeOptions) (*queuetest.Fake, *queue.Client) {
	f := queuetest.StartFake(t, o)
	return f, &queue.Client{RootURL: f.URL}
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

func s3Request(f *queuetest.Fake) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"storageType": "s3", "contentType": "text/plain", "expires": %q}`,
		time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
}

func put(t testing.TB, url string, body io.Reader, length int64) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = length
	req.Header.Set("Content-Type", "text/plain")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, nil
}

func TestFakeRunsATask(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{})
	id := f.AddTask(map[string]any{"command": []string{"true"}})
	claim := claimOne(t, c)
	if claim.TaskID != id || claim.RunID != 0 {
		t.Fatalf("claimed %s/%d, want %s/0", claim.TaskID, claim.RunID, id)
	}
	fresh, err := c.Reclaim(t.Context(), claim)
	if err != nil {
		t.Fatal(err)
	}
	if !fresh.TakenUntil.After(claim.TakenUntil) || fresh.Credentials == claim.Credentials {
		t.Errorf("reclaim did not extend the claim: %v, then %v", claim.TakenUntil, fresh.TakenUntil)
	}
	answer, err := c.CreateArtifact(t.Context(), fresh, "public/a.txt", s3Request(f))
	if err != nil {
		t.Fatal(err)
	}
	var s3 struct{ PutURL string }
	if err := json.Unmarshal(answer, &s3); err != nil {
		t.Fatal(err)
	}
	if status, err := put(t, s3.PutURL, strings.NewReader("hello"), 5); status != 200 || err != nil {
		t.Fatalf("PUT: %d, %v", status, err)
	}
	for range 2 {
		if err := c.Resolve(t.Context(), fresh, queue.Outcome{State: "completed"}); err != nil {
			t.Fatal(err)
		}
	}
	run, err := f.WaitResolved(t.Context(), id, 0)
	if err != nil || run.State != "completed" {
		t.Fatalf("WaitResolved: %+v, %v", run, err)
	}
	got := run.Artifact("public/a.txt")
	if got.Bytes != 5 || got.SHA256 != "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" || string(got.Body) != "hello" {
		t.Errorf("stored %+v", got)
	}
	var endpoints []string
	for _, call := range f.Calls() {
		endpoints = append(endpoints, fmt.Sprint(call.Endpoint, " ", call.Status))
	}
	want := []string{"claimWork 200", "reclaimTask 200", "createArtifact 200", "putData 200", "reportCompleted 200", "reportCompleted 200"}
	if diff := cmp.Diff(want, endpoints); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	noViolations(t, f)
}

func TestFakeClaimWakesForANewTask(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{LongPoll: time.Minute})
	got := make(chan queue.Claim, 1)
	go func() {
		if claims, err := c.Claim(t.Context(), worker, 1); err == nil && len(claims) == 1 {
			got <- claims[0]
		}
		close(got)
	}()
	if err := f.WaitCalls(t.Context(), func(calls []queuetest.Call) bool { return len(calls) == 1 }); err != nil {
		t.Fatal(err)
	}
	id := f.AddTask(nil)
	if claim, ok := <-got; !ok || claim.TaskID != id {
		t.Errorf("claimed %q, want %q", claim.TaskID, id)
	}
}

func TestFakeOrder(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{LongPoll: time.Millisecond})
	priority := func(p string) func(map[string]any) {
		return func(d map[string]any) { d["priority"] = p }
	}
	low, first := f.AddTask(nil), f.AddTask(nil, priority("high"))
	second := f.AddTask(nil, priority("high"))
	after := f.AddTask(nil, func(d map[string]any) { d["dependencies"] = []string{low} })
	claims, err := c.Claim(t.Context(), worker, 32)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, claim := range claims {
		ids = append(ids, claim.TaskID)
	}
	if diff := cmp.Diff([]string{first, second, low}, ids); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if err := c.Resolve(t.Context(), claims[2], queue.Outcome{State: "completed"}); err != nil {
		t.Fatal(err)
	}
	if claim := claimOne(t, c); claim.TaskID != after {
		t.Errorf("after its dependency %q was claimed, want %q", claim.TaskID, after)
	}
}

func TestFakeEndsLeases(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{Lease: 50 * time.Millisecond})
	id := f.AddTask(nil)
	claim := claimOne(t, c)
	run, err := f.WaitResolved(t.Context(), id, 0)
	if err != nil || run.Reason != "claim-expired" {
		t.Fatalf("run %+v, %v", run, err)
	}
	if _, err := c.Reclaim(t.Context(), claim); !errors.Is(err, queue.ErrConflict) {
		t.Errorf("reclaim after the lease: %v", err)
	}
	if again := claimOne(t, c); again.TaskID != id || again.RunID != 1 {
		t.Errorf("claimed %s/%d, want run 1 of the same task", again.TaskID, again.RunID)
	}
}

func TestFakeInjectsEnds(t *testing.T) {
	t.Parallel()
	for reason, end := range map[string]func(*queuetest.Fake, string){
		"canceled":          (*queuetest.Fake).Cancel,
		"deadline-exceeded": (*queuetest.Fake).ExpireDeadline,
		"claim-expired":     (*queuetest.Fake).ExpireClaim,
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			f, c := start(t, queuetest.FakeOptions{})
			id := f.AddTask(nil)
			claim := claimOne(t, c)
			end(f, id)
			if run, _ := f.Run(id, 0); run.State != "exception" || run.Reason != reason {
				t.Errorf("run is %s/%s", run.State, run.Reason)
			}
			if err := c.Resolve(t.Context(), claim, queue.Outcome{State: "failed"}); !errors.Is(err, queue.ErrConflict) {
				t.Errorf("report after the end: %v", err)
			}
			noViolations(t, f)
		})
	}
}

func TestFakeRefusesExpiredAndForeignCredentials(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{CredentialsTTL: time.Nanosecond})
	f.AddTask(nil)
	claim := claimOne(t, c)
	if _, err := c.Reclaim(t.Context(), claim); !errors.Is(err, queue.ErrUnauthorized) {
		t.Errorf("expired credentials: %v", err)
	}
	if bad := f.Violations(); len(bad) != 1 || !strings.HasPrefix(bad[0], "expired credentials: reclaimTask") {
		t.Errorf("violations %q", bad)
	}

	f, c = start(t, queuetest.FakeOptions{})
	f.AddTask(nil)
	f.AddTask(nil)
	one, two := claimOne(t, c), claimOne(t, c)
	one.Credentials = two.Credentials
	if _, err := c.Reclaim(t.Context(), one); !errors.Is(err, queue.ErrUnauthorized) {
		t.Errorf("foreign credentials: %v", err)
	}
	if bad := f.Violations(); len(bad) != 1 || !strings.HasPrefix(bad[0], "foreign credentials: reclaimTask") {
		t.Errorf("violations %q", bad)
	}
}

func TestFakeArtifactRules(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{})
	f.AddTask(nil)
	claim := claimOne(t, c)
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	for _, step := range []struct {
		name, request string
		want          error
	}{
		{"ref", `{"storageType": "reference", "contentType": "text/plain", "url": "http://a.example.com", "expires": "` + at(time.Hour) + `"}`, nil},
		{"ref", `{"storageType": "reference", "contentType": "text/plain", "url": "http://b.example.com", "expires": "` + at(time.Hour) + `"}`, nil},
		{"ref", `{"storageType": "link", "artifact": "data", "expires": "` + at(2*time.Hour) + `"}`, nil},
		{"ref", `{"storageType": "link", "artifact": "other", "expires": "` + at(2*time.Hour) + `"}`, queue.ErrConflict},
		{"data", `{"storageType": "s3", "contentType": "text/plain", "expires": "` + at(2*time.Hour) + `"}`, nil},
		{"data", `{"storageType": "s3", "contentType": "text/plain", "expires": "` + at(time.Hour) + `"}`, queue.ErrConflict},
		{"data", `{"storageType": "s3", "contentType": "text/html", "expires": "` + at(2*time.Hour) + `"}`, queue.ErrConflict},
		{"late", `{"storageType": "s3", "contentType": "text/html", "expires": "` + at(100000*time.Hour) + `"}`, queue.ErrMalformed},
		{"past", `{"storageType": "s3", "contentType": "text/html", "expires": "` + at(-time.Hour) + `"}`, queue.ErrMalformed},
		{"odd", `{"storageType": "tape", "contentType": "text/html", "expires": "` + at(time.Hour) + `"}`, queue.ErrMalformed},
	} {
		if _, err := c.CreateArtifact(t.Context(), claim, step.name, json.RawMessage(step.request)); !errors.Is(err, step.want) {
			t.Errorf("%s %s: %v, want %v", step.name, step.request, err, step.want)
		}
	}
	if err := c.Resolve(t.Context(), claim, queue.Outcome{State: "failed"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateArtifact(t.Context(), claim, "new", s3Request(f)); !errors.Is(err, queue.ErrConflict) {
		t.Errorf("artifact after the end: %v", err)
	}
}

func TestFakeStorageIsStrict(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{KeepBodies: 10})
	id := f.AddTask(nil)
	claim := claimOne(t, c)
	answer, err := c.CreateArtifact(t.Context(), claim, "a", s3Request(f))
	if err != nil {
		t.Fatal(err)
	}
	var s3 struct{ PutURL string }
	if err := json.Unmarshal(answer, &s3); err != nil {
		t.Fatal(err)
	}
	if status, err := put(t, s3.PutURL, strings.NewReader("x"), -1); status != http.StatusLengthRequired {
		t.Errorf("without length: %d, %v", status, err)
	}
	f.Inject(queuetest.Fault{Endpoint: "putData", Kind: queuetest.FaultCut, Bytes: 3, Max: 1})
	if status, err := put(t, s3.PutURL, bytes.NewReader(make([]byte, 1<<20)), 1<<20); err == nil {
		t.Errorf("cut upload: %d", status)
	}
	if run, _ := f.Run(id, 0); run.Artifact("a").Uploads != 0 {
		t.Error("a cut upload is stored")
	}
	if status, err := put(t, s3.PutURL, bytes.NewReader(make([]byte, 1<<20)), 1<<20); status != 200 {
		t.Errorf("PUT: %d, %v", status, err)
	}
	run, _ := f.Run(id, 0)
	if got := run.Artifact("a"); got.Uploads != 1 || got.Bytes != 1<<20 || len(got.Body) != 10 {
		t.Errorf("stored %d uploads, %d bytes, %d kept", got.Uploads, got.Bytes, len(got.Body))
	}
}

func TestFakeFlagsWrongLengths(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{})
	f.AddTask(nil)
	request := strings.Replace(string(s3Request(f)), "{", `{"contentLength": 4, `, 1)
	answer, err := c.CreateArtifact(t.Context(), claimOne(t, c), "a", json.RawMessage(request))
	if err != nil {
		t.Fatal(err)
	}
	var s3 struct{ PutURL string }
	if err := json.Unmarshal(answer, &s3); err != nil {
		t.Fatal(err)
	}
	for i, data := range []string{"four", "five!"} {
		if status, err := put(t, s3.PutURL, strings.NewReader(data), int64(len(data))); status != 200 {
			t.Fatalf("PUT: %d, %v", status, err)
		}
		if bad := f.Violations(); len(bad) != i {
			t.Errorf("after %q: violations %q", data, bad)
		}
	}
}

func TestFakeWaitEndsWithContext(t *testing.T) {
	t.Parallel()
	f, _ := start(t, queuetest.FakeOptions{})
	id := f.AddTask(nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := f.WaitResolved(ctx, id, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WaitResolved: %v", err)
	}
}

func BenchmarkFakeClaimAndResolve(b *testing.B) {
	f, c := start(b, queuetest.FakeOptions{})
	for b.Loop() {
		f.AddTask(nil)
		claim := claimOne(b, c)
		if err := c.Resolve(b.Context(), claim, queue.Outcome{State: "completed"}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(f.Calls()))/b.Elapsed().Seconds(), "requests/s")
}
