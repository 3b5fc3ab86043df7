package queue_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

func TestQ1_EveryCallSurvives5xx(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{Seed: 1})
	f.Inject(queuetest.Fault{Kind: queuetest.FaultStatus, Chance: 0.3})
	for range 50 {
		id := f.AddTask(nil)
		var claims []queue.Claim
		for len(claims) == 0 { // the worker's loop
			var err error
			if claims, err = c.Claim(t.Context(), worker, 1); err != nil && !errors.Is(err, queue.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		claim, err := c.Reclaim(t.Context(), claims[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateArtifact(t.Context(), claim, "a", s3Request()); err != nil {
			t.Fatal(err)
		}
		if err := c.Resolve(t.Context(), claim, queue.Outcome{State: "completed"}); err != nil {
			t.Fatal(err)
		}
		if run, _ := f.Run(id, 0); run.State != "completed" {
			t.Fatalf("run is %s", run.State)
		}
	}
	noViolations(t, f)
}

// rawServer answers each connection with the next of the given texts and
// closes it.
func rawServer(t *testing.T, answers func(n int) []byte) (root string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-done })
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = conn.Write(answers(n)) // the client may have left
			}
			conn.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}

// goodClaim is the body of a claimWork answer with one claim.
func goodClaim() string {
	return `{"tasks": [{"status": {"taskId": "VNUJPkKUQICbX0AQECFtbw", "runs": [{"runId": 0, "state": "running"}]}, "runId": 0,
		"workerGroup": "here", "workerId": "w1", "takenUntil": "2026-01-02T03:04:05.678Z",
		"credentials": {"clientId": "task-client/x", "accessToken": "secret-token", "certificate": "{\"version\": 1}"},
		"task": {"taskQueueId":  "test-provisioner/test-worker", "created": "2026-01-02T03:04:05.678Z", "deadline": "2026-01-02T03:04:05.678Z",
		"payload": {"z": 1.0, "a": "\u003c\u2028é"}}}]}`
}

func TestQ2_ClaimAnswerCutAtEveryByte(t *testing.T) {
	t.Parallel()
	body := goodClaim()
	for framing, answer := range map[string]string{
		"length":  fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
		"chunked": fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 9, body[:9], len(body)-9, body[9:]),
		"close":   "HTTP/1.0 200 OK\r\n\r\n" + body,
	} {
		t.Run(framing, func(t *testing.T) {
			t.Parallel()
			root := rawServer(t, func(n int) []byte { return []byte(answer[:n]) })
			c := &queue.Client{RootURL: root}
			for n := range len(answer) {
				claims, err := c.Claim(t.Context(), worker, 1)
				if !errors.Is(err, queue.ErrUnavailable) || len(claims) > 0 {
					t.Fatalf("answer cut after %d of %d bytes: %d claims, %v", n, len(answer), len(claims), err)
				}
				if strings.Contains(err.Error(), "secret") {
					t.Fatalf("answer cut after %d bytes: the error shows a secret: %v", n, err)
				}
			}
			claims, err := c.Claim(t.Context(), worker, 1)
			if err != nil || len(claims) != 1 || !strings.HasPrefix(string(claims[0].Task), `{"taskQueueId":  "test`) {
				t.Fatalf("whole answer: %+v, %v", claims, err)
			}
		})
	}
}

func TestQ3_HangingCallsEnd(t *testing.T) {
	t.Parallel()
	for _, kind := range []queuetest.FaultKind{queuetest.FaultHang, queuetest.FaultDrip} { // and Q4
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f, patient := start(t, queuetest.FakeOptions{})
			c := &queue.Client{RootURL: f.URL, Limits: hasty}
			c.Limits.FirstByte, c.Limits.LongPoll, c.Limits.Idle = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
			for name, call := range calls(c) {
				if name == "finishArtifact" || name == "getArtifact" {
					continue // no such artifact; and an answer of which only the head counts
				}
				claim := claimNew(t, f, patient)
				f.Inject(queuetest.Fault{Endpoint: name, Kind: kind, Max: 1})
				before := time.Now()
				if err := call(t.Context(), claim); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if took := time.Since(before); took > 10*time.Second {
					t.Errorf("%s took %s", name, took)
				}
			}
			f.ClearFaults()
			f.Inject(queuetest.Fault{Endpoint: "claimWork", Kind: kind, Max: 1})
			if _, err := c.Claim(t.Context(), worker, 1); !errors.Is(err, queue.ErrUnavailable) {
				t.Errorf("Claim: %v", err)
			}
			noViolations(t, f)
		})
	}
}

func TestQ3_ClaimWaitsLongerThanTheQueue(t *testing.T) {
	t.Parallel()
	f, c := start(t, queuetest.FakeOptions{LongPoll: 300 * time.Millisecond})
	c.Limits = hasty
	c.Limits.FirstByte, c.Limits.LongPoll = 50*time.Millisecond, 10*time.Second
	if claims, err := c.Claim(t.Context(), worker, 1); err != nil || len(claims) != 0 {
		t.Errorf("Claim: %v, %v", claims, err)
	}
	if n := count(f, "claimWork"); n != 1 {
		t.Errorf("%d claims were sent, want 1", n)
	}
}

// Of the table of lost answers, the calls that a Client makes: all but uploads
// are made again, and make no difference when they are.
func TestQ5_LostAnswers(t *testing.T) {
	t.Parallel()
	for _, drops := range []int{1, 2, 3} {
		for _, endpoint := range []string{
			"claimWork", "reclaimTask", "createArtifact", "finishArtifact", "reportCompleted", "reportFailed",
			"reportException", "listArtifacts", "getArtifact",
		} {
			t.Run(fmt.Sprint(endpoint, " ", drops), func(t *testing.T) {
				t.Parallel()
				testLostAnswers(t, endpoint, drops)
			})
		}
	}
}

func testLostAnswers(t *testing.T, endpoint string, drops int) {
	f, c := start(t, queuetest.FakeOptions{Lease: time.Minute})
	ctx := t.Context()
	f.Inject(queuetest.Fault{Endpoint: endpoint, Kind: queuetest.FaultDrop, Max: drops})
	id := f.AddTask(nil)
	runID := 0
	if endpoint == "claimWork" { // lost by protocol: the run is the queue's to give again
		for ; runID < drops; runID++ {
			if claims, err := c.Claim(ctx, worker, 1); !errors.Is(err, queue.ErrUnavailable) {
				t.Fatalf("Claim: %v, %v", claims, err)
			}
			f.ExpireClaim(id)
		}
	}
	claim := claimOne(t, c)
	claim, err := c.Reclaim(ctx, claim)
	if err != nil {
		t.Fatal(err)
	}
	upload(t, c, claim, "public/a", "", []byte("data"))
	uploadObject(t, f, c, claim, "public/o")
	if list, err := c.Artifacts(ctx, id, runID); err != nil || len(list) != 2 {
		t.Errorf("Artifacts: %v, %v", list, err)
	}
	body, err := c.OpenArtifact(ctx, id, runID, "public/a")
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	outcome := map[string]queue.Outcome{
		"reportFailed":    {State: "failed"},
		"reportException": {State: "exception", Reason: "malformed-payload"},
	}[endpoint]
	if outcome.State == "" {
		outcome.State = "completed"
	}
	if err := c.Resolve(ctx, claim, outcome); err != nil {
		t.Fatal(err)
	}
	if run, _ := f.Run(id, runID); run.State != outcome.State {
		t.Errorf("run is %s, want %s", run.State, outcome.State)
	}
	if n := count(f, endpoint); n < drops+1 {
		t.Errorf("%s was made %d times, want more than %d", endpoint, n, drops)
	}
	noViolations(t, f)
}

func uploadObject(t *testing.T, f *queuetest.Fake, c *queue.Client, claim queue.Claim, name string) {
	t.Helper()
	request := strings.Replace(string(s3Request()), "s3", "object", 1)
	answer, err := c.CreateArtifact(t.Context(), claim, name, json.RawMessage(request))
	if err != nil {
		t.Fatal(err)
	}
	var object struct{ Name, UploadID string }
	if err := json.Unmarshal(answer, &object); err != nil {
		t.Fatal(err)
	}
	key := strings.ReplaceAll(object.Name, "/", "%2F")
	objectCall(t, http.MethodPut, f.URL+"/api/object/v1/upload/"+key, `{"projectId": "none", "uploadId": "`+object.UploadID+`",
		"expires": "`+in(time.Hour)+`", "proposedUploadMethods": {"dataInline": {"contentType": "text/plain", "objectData": "aGk="}}}`)
	objectCall(t, http.MethodPost, f.URL+"/api/object/v1/finish-upload/"+key, `{"projectId": "none", "uploadId": "`+object.UploadID+`"}`)
	if err := c.FinishArtifact(t.Context(), claim, name, object.UploadID); err != nil {
		t.Fatal(err)
	}
}

func objectCall(t *testing.T, method, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, url, resp.Status)
	}
}

// What createArtifact sends decides whether the queue knows it again.
func TestQ5_RetriesSendTheSameBytes(t *testing.T) {
	t.Parallel()
	var sent [][]byte
	c := offline(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		sent = append(sent, body)
		if len(sent) < 4 || err != nil {
			return nil, io.ErrUnexpectedEOF
		}
		return respond(200, `{"storageType": "s3"}`), nil
	})
	c.Limits = hasty
	request := json.RawMessage("{ \"storageType\":\"s3\",\t\"expires\": 1 }")
	if _, err := c.CreateArtifact(t.Context(), queue.Claim{TaskID: "x"}, "a", request); err != nil {
		t.Fatal(err)
	}
	for _, body := range sent {
		if !bytes.Equal(body, request) {
			t.Errorf("sent %q, want %q", body, request)
		}
	}
}

func TestQ7_UnusableAnswersAreRetried(t *testing.T) {
	t.Parallel()
	for _, fault := range []queuetest.Fault{
		{Kind: queuetest.FaultGarbage},
		{Kind: queuetest.FaultTruncate},
		{Kind: queuetest.FaultTruncate, Bytes: 1},
		{Kind: queuetest.FaultRedirect},
		{Kind: queuetest.FaultReset},
		{Kind: queuetest.FaultOversize, Bytes: 17 << 20},
		{Kind: queuetest.FaultStatus, Status: 429},
		{Kind: queuetest.FaultStatus, Status: 302},
		{Kind: queuetest.FaultStatus, Status: 408},
		{Kind: queuetest.FaultStatus, Status: 500},
	} {
		t.Run(fmt.Sprint(fault.Kind, fault.Bytes, fault.Status), func(t *testing.T) {
			t.Parallel()
			f, c := start(t, queuetest.FakeOptions{})
			for name, call := range calls(c) {
				if name == "getArtifact" {
					continue // its answer may be anything
				}
				claim := claimNew(t, f, c)
				rule := fault
				rule.Endpoint, rule.Max = name, 2
				f.Inject(rule)
				if err := call(t.Context(), claim); err != nil && name != "finishArtifact" {
					t.Errorf("%s: %v", name, err)
				}
				if n := count(f, name); n != 3 {
					t.Errorf("%s was made %d times, want 3", name, n)
				}
			}
			noViolations(t, f) // a redirect that is followed is one
		})
	}
}

func TestQ7_WrongJSONIsRetried(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "null", "[]", "{}", `"x"`, `{"status": null}`, `{"status": {"taskId": 7}}`, `{"status": {"taskId": "other"}}`, "{", "{}{}",
		`{"tasks": null}`, `{"tasks": {}}`, `{"artifacts": null}`, "\x1f\x8b\x08\x00", strings.Repeat("[", 1<<16),
	} {
		var answers int
		var cancel context.CancelFunc
		c := offline(func(*http.Request) (*http.Response, error) {
			if answers++; answers == 3 {
				cancel()
			}
			return respond(200, body), nil
		})
		c.Limits = hasty
		claim := queue.Claim{TaskID: "VNUJPkKUQICbX0AQECFtbw"}
		for name, call := range calls(c) {
			switch {
			case name == "getArtifact", name == "finishArtifact" && (body == "" || strings.HasPrefix(body, `{"`) || body == "{}"),
				name == "task" && (strings.HasPrefix(body, `{"`) || body == "{}"):
				continue // these are good answers to such calls
			}
			answers = 0
			var ctx context.Context
			ctx, cancel = context.WithCancel(t.Context())
			err := call(ctx, claim)
			cancel()
			if !errors.Is(err, context.Canceled) || answers != 3 {
				t.Errorf("%s accepts %.50q: %v after %d answers", name, body, err, answers)
			}
		}
		if claims, err := c.Claim(t.Context(), worker, 1); !errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("claimWork accepts %.50q: %v, %v", body, claims, err)
		}
	}
}

func TestQ7_ProxyErrorPagesAreRetried(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403, 404, 409, 410} {
		var n int
		c := offline(func(*http.Request) (*http.Response, error) {
			if n++; n < 3 {
				return respond(status, "<html>default backend</html>"), nil
			}
			return respond(200, `{"status": {"taskId": "x"}}`), nil
		})
		c.Limits = hasty
		if _, err := c.Status(t.Context(), "x"); err != nil || n != 3 {
			t.Errorf("%d: %v after %d answers", status, err, n)
		}
		n = -1
		if _, err := c.Claim(t.Context(), worker, 1); !errors.Is(err, queue.ErrUnavailable) || errors.Is(err, queue.ErrNotFound) {
			t.Errorf("Claim with %d: %v", status, err)
		}
	}
}

func TestQ7_HugeAnswerIsNotHeld(t *testing.T) {
	f, c := start(t, queuetest.FakeOptions{})
	f.Inject(queuetest.Fault{Kind: queuetest.FaultOversize})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := c.Claim(t.Context(), worker, 1); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("Claim: %v", err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
		t.Errorf("%d MiB were allocated", used>>20)
	}
}

func TestQ7_ErrorsShowOneKiBAndNoSecret(t *testing.T) {
	t.Parallel()
	const token, certificate = "very-secret-token", `{"version": 1, "seed": "very-secret-seed"}`
	var log logged
	c := offline(func(r *http.Request) (*http.Response, error) {
		page := "<html>\x1b[31m\x00\xff" + token + certificate + r.Header.Get("Authorization") + strings.Repeat("é", 5000)
		return respond(502, page), nil
	})
	c.Log, c.Limits = log.logger(), hasty
	c.Limits.Elapsed = time.Second
	c.Credentials = func() queue.Credentials {
		return queue.Credentials{ClientID: "me", AccessToken: token, Certificate: certificate}
	}
	_, err := c.Status(t.Context(), "x")
	refused, ok := errors.AsType[*queue.Error](err)
	if !ok || !errors.Is(err, queue.ErrUnavailable) || len(refused.Message) > 1024 || len(refused.Message) < 1000 {
		t.Fatalf("Status: %v", err)
	}
	for _, text := range []string{err.Error(), log.String()} {
		if strings.Contains(text, "very-secret") || strings.ContainsAny(text, "\x1b\x00") || !utf8.ValidString(text) {
			t.Errorf("shows a secret or control character: %q", text)
		}
		if text == "" {
			t.Error("nothing was logged")
		}
	}
}
