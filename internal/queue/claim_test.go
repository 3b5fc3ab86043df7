package queue_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

func TestClaimIsCompleteAndExact(t *testing.T) {
	t.Parallel()
	body := goodClaim()
	date := time.Date(2026, 1, 2, 3, 0, 5, 0, time.UTC)
	var request map[string]any
	c := offline(func(r *http.Request) (*http.Response, error) {
		if r.URL.RequestURI() != "/api/queue/v1/claim-work/test-provisioner%2Ftest-worker" {
			t.Errorf("asked %s", r.URL.RequestURI())
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		return respond(200, body, "Date", date.Format(http.TimeFormat)), nil
	})
	before := time.Now()
	claims, err := c.Claim(t.Context(), worker, 99)
	after := time.Now()
	if err != nil || len(claims) != 1 {
		t.Fatalf("Claim: %v, %v", claims, err)
	}
	if diff := cmp.Diff(map[string]any{"tasks": 32.0, "workerGroup": "here", "workerId": "w1"}, request); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	got := claims[0]
	from := strings.Index(body, `"task": `) + len(`"task": `)
	if want := body[from : len(body)-len("}]}")]; string(got.Task) != want {
		t.Errorf("Task is not what was sent:\n%s\nwant\n%s", got.Task, want)
	}
	if got.TaskID != "VNUJPkKUQICbX0AQECFtbw" || got.RunID != 0 || got.Definition.TaskQueueID != worker.TaskQueueID {
		t.Errorf("claim of %s/%d in %s", got.TaskID, got.RunID, got.Definition.TaskQueueID)
	}
	if got.Credentials != (queue.Credentials{ClientID: "task-client/x", AccessToken: "secret-token", Certificate: `{"version": 1}`}) {
		t.Error("credentials are not those that were sent")
	}
	left := got.TakenUntil.Sub(date)
	if got.Expires.Before(before.Add(left)) || got.Expires.After(after.Add(left)) || got.Received.Before(before) || got.Received.After(after) {
		t.Errorf("received %s, expires %s, want %s later", got.Received, got.Expires, left)
	}
}

// entry is one claim of a claimWork answer; the named fields differ from a
// good one.
func entry(id string, run int, change ...string) string {
	e := fmt.Sprintf(`{"status": {"taskId": %q, "runs": [{"runId": 0, "state": "exception"}, {"runId": %d, "state": "running"}]}, "runId": %d, "workerGroup": "here", "workerId": "w1",
		"takenUntil": "2026-01-02T03:04:05Z", "credentials": {"clientId": "c", "accessToken": "a", "certificate": "{}"},
		"task": {"provisionerId": "test-provisioner", "workerType": "test-worker", "created": "2026-01-02T03:04:05Z", "deadline": "2026-01-02T03:04:05Z", "payload": {}}}`,
		id, run, run)
	for i := 0; i+1 < len(change); i += 2 {
		e = strings.Replace(e, change[i], change[i+1], 1)
	}
	return e
}

func TestQ8_OnlyUsableClaimsAreTaken(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, entry, reason string }{
		{"other worker", entry("x", 1, `"w1"`, `"w2"`), `it is for worker \"w2\"`},
		{"other group", entry("x", 1, `"here"`, `"there"`), `in group \"there\"`},
		{"other queue", entry("x", 1, `"test-worker"`, `"big"`), `it is for task queue \"test-provisioner/big\"`},
		{"resolved run", entry("x", 1, `"running"`, `"completed"`), "the run is completed"},
		{"earlier run", entry("x", 1, `"runId": 1, "workerGroup"`, `"runId": 0, "workerGroup"`), "the run is exception"},
		{"no run", entry("x", 1, `"runId": 1, "workerGroup"`, `"workerGroup"`), "no taskId or runId"},
		{"no task id", entry("", 1), "no taskId or runId"},
		{"no credentials", entry("x", 1, `"accessToken": "a"`, `"accessToken": ""`), "no credentials"},
		{"no lease", entry("x", 1, `"takenUntil": "2026-01-02T03:04:05Z", `, ""), "no takenUntil"},
		{"no task", entry("x", 1, `"task"`, `"tusk"`), "no task definition"},
		{"bad task", entry("x", 1, `"created": "2026`, `"created": "`), "cannot decode task definition"},
		{"wrong type", `"x"`, "cannot unmarshal"},
		{"twice", entry("good", 1), "it came twice"},
		{"too many", entry("more", 1) + "," + entry("most", 1), "only 2 were asked for"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var log logged
			c := offline(func(*http.Request) (*http.Response, error) {
				return respond(200, `{"tasks": [`+entry("good", 1)+`,`+row.entry+`]}`), nil
			})
			c.Log = log.logger()
			claims, err := c.Claim(t.Context(), worker, 2)
			want := 1
			if row.name == "too many" {
				want = 2
			}
			if err != nil || len(claims) != want || claims[0].TaskID != "good" {
				t.Fatalf("Claim: %d claims, %v", len(claims), err)
			}
			if !strings.Contains(log.String(), row.reason) || strings.Count(log.String(), "\n") != 1 {
				t.Errorf("log does not say %q:\n%s", row.reason, log.String())
			}
		})
	}
}

func TestQ8_NoRunIsTakenTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "asked")
		entries := rapid.SliceOf(rapid.Custom(func(t *rapid.T) string {
			change := rapid.SampledFrom([]string{"", "", "", `"w1"`, `"running"`, `"clientId": "c"`, `{`}).Draw(t, "broken")
			return entry(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "task"), rapid.IntRange(1, 3).Draw(t, "run"), change, "")
		})).Draw(t, "entries")
		c := offline(func(*http.Request) (*http.Response, error) {
			return respond(200, `{"tasks": [`+strings.Join(entries, ",")+`]}`), nil
		})
		claims, err := c.Claim(t.Context(), worker, n)
		if err != nil && !errors.Is(err, queue.ErrUnavailable) {
			t.Fatal(err)
		}
		seen := make(map[string]bool)
		for _, claim := range claims {
			key := fmt.Sprint(claim.TaskID, claim.RunID)
			if seen[key] {
				t.Fatalf("%s was taken twice", key)
			}
			seen[key] = true
		}
		if len(claims) > n {
			t.Fatalf("%d claims, asked for %d", len(claims), n)
		}
	})
}

func TestClaimsAreOneAttempt(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{})
	f.Inject(queuetest.Fault{Kind: queuetest.FaultStatus, Status: 500})
	if _, err := c.Claim(t.Context(), worker, 1); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("Claim: %v", err)
	}
	if n := count(f, "claimWork"); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestResolveRefusesUnknownStates(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{})
	if err := c.Resolve(t.Context(), queue.Claim{TaskID: "x"}, queue.Outcome{State: "done"}); err == nil {
		t.Error("no error")
	}
	if n := len(f.Calls()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func TestReclaimOfAnotherRunIsRetried(t *testing.T) {
	t.Parallel()
	n := 0
	c := offline(func(*http.Request) (*http.Response, error) {
		id := "x"
		if n++; n < 3 {
			id = "y"
		}
		return respond(200, entry(id, 1)), nil
	})
	c.Limits = hasty
	claim := queue.Claim{TaskID: "x", RunID: 1, Task: json.RawMessage(`{}`)}
	fresh, err := c.Reclaim(t.Context(), claim)
	if err != nil || n != 3 || fresh.TaskID != "x" || fresh.Credentials.AccessToken != "a" || string(fresh.Task) != "{}" {
		t.Errorf("Reclaim: %+v, %v after %d answers", fresh, err, n)
	}
}

func FuzzClaimResponse(f *testing.F) {
	f.Add(goodClaim())
	f.Add(`{"tasks": [` + entry("a", 1) + `,` + entry("a", 1) + `]}`)
	f.Add(`{"tasks": [null, {}, {"runId": -1}, {"task": null}]}`)
	f.Add(`{"tasks":[{"runId":1e99}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		c := offline(func(*http.Request) (*http.Response, error) { return respond(200, body), nil })
		claims, err := c.Claim(t.Context(), worker, 2)
		if err != nil && (!errors.Is(err, queue.ErrUnavailable) || len(claims) > 0) {
			t.Errorf("%d claims, %v", len(claims), err)
		}
		for _, claim := range claims {
			if claim.TaskID == "" || claim.RunID < 0 || !json.Valid(claim.Task) || !strings.Contains(body, string(claim.Task)) ||
				claim.Credentials.ClientID == "" || claim.TakenUntil.IsZero() || claim.Expires.IsZero() {
				t.Errorf("half a claim was taken: %+v", claim)
			}
		}
	})
}

func FuzzReclaimResponse(f *testing.F) {
	f.Add(entry("x", 1))
	f.Add(`{"status": {"taskId": "x"}, "runId": 1, "takenUntil": null, "credentials": null}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, body string) {
		n := 0
		c := offline(func(*http.Request) (*http.Response, error) {
			if n++; n == 1 {
				return respond(200, body), nil
			}
			return respond(409, `{"code": "RequestConflict", "message": "resolved"}`), nil
		})
		c.Limits = queue.Limits{FirstPause: 1, MaxPause: 1}
		fresh, err := c.Reclaim(t.Context(), queue.Claim{TaskID: "x", RunID: 1})
		switch {
		case err != nil && !errors.Is(err, queue.ErrConflict):
			t.Errorf("Reclaim: %v", err)
		case err == nil && (fresh.TaskID != "x" || fresh.RunID != 1 || fresh.TakenUntil.IsZero() ||
			fresh.Credentials.ClientID == "" || fresh.Credentials.AccessToken == ""):
			t.Errorf("half a claim was taken: %+v", fresh)
		}
	})
}
