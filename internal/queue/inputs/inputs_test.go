package inputs_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"go.uber.org/goleak"

	"github.com/taskcluster/generic-worker/internal/fetch"
	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/inputs"
	"github.com/taskcluster/generic-worker/internal/queue/local"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const pool = "proj-local/worker"

var (
	worker = queue.Worker{TaskQueueID: pool, WorkerGroup: "group", WorkerID: "worker"}
	// hasty are limits for servers that fail on purpose.
	hasty = queue.Limits{FirstPause: time.Millisecond, MaxPause: time.Millisecond, Elapsed: 20 * time.Millisecond}
)

// deployment is a queue with its services, on a real socket.
type deployment struct {
	*queue.Client // of someone who may do everything
	root          string
	index         func(t *testing.T, namespace, taskID string)
	purge         func(t *testing.T, cache string)
	checksScopes  bool
}

func (d *deployment) source() inputs.Source {
	return inputs.Source{Client: d.Client, TaskQueueID: pool}
}

// onEach runs a test with each kind of deployment.
func onEach(t *testing.T, test func(t *testing.T, d *deployment)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, embedded(t))
	})
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		f := queuetest.StartFake(t, queuetest.FakeOptions{})
		test(t, &deployment{
			Client: &queue.Client{RootURL: f.URL, HTTP: sender(t), Limits: hasty}, root: f.URL,
			index: func(_ *testing.T, namespace, taskID string) { f.Index(namespace, taskID) },
			purge: func(_ *testing.T, cache string) { f.Purge(pool, cache, time.Now()) },
		})
	})
}

func sender(t *testing.T) *http.Client {
	t.Helper()
	c := queue.NewHTTPClient()
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func embedded(t *testing.T) *deployment {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	root := "http://" + s.Listener.Addr().String()
	q, err := local.Open(local.Options{Dir: t.TempDir(), RootURL: root, LongPoll: time.Millisecond})
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
	c := &queue.Client{RootURL: root, HTTP: sender(t), Limits: hasty, Credentials: q.Credentials}
	return &deployment{
		Client: c, root: root, checksScopes: true,
		index: func(t *testing.T, namespace, taskID string) {
			t.Helper()
			ask(t, c, queue.Question{
				Call: "insertTask", Service: "index", Method: http.MethodPut, Route: []string{"task", namespace},
				Body: fmt.Appendf(nil, `{"taskId": %q, "rank": 0, "data": {}, "expires": %q}`, taskID, tcclient.Time(time.Now().Add(time.Hour))),
			}, nil)
		},
		purge: func(t *testing.T, cache string) {
			t.Helper()
			err := c.Ask(t.Context(), queue.Question{
				Call: "purgeCache", Service: "purge-cache", Method: http.MethodPost, Route: []string{"purge-cache", pool},
				Body: fmt.Appendf(nil, `{"cacheName": %q}`, cache),
			}, func([]byte) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
		},
	}
}

func ask(t *testing.T, c *queue.Client, q queue.Question, into any) {
	t.Helper()
	err := c.Ask(t.Context(), q, func(answer []byte) error {
		if into == nil {
			return nil
		}
		return json.Unmarshal(answer, into)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// claim creates a task with scopes and claims it.
func (d *deployment) claim(t *testing.T, scopes ...string) queue.Claim {
	t.Helper()
	now := time.Now()
	definition, err := json.Marshal(map[string]any{
		"taskQueueId": pool, "created": tcclient.Time(now), "deadline": tcclient.Time(now.Add(time.Hour)),
		"payload": map[string]any{}, "scopes": append([]string{}, scopes...),
		"metadata": map[string]any{"name": "a task", "description": "for a test", "owner": "nobody@example.com", "source": "https://example.com/"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.CreateTask(t.Context(), slugid.Nice(), definition); err != nil {
		t.Fatal(err)
	}
	claims, err := d.Claim(t.Context(), worker, 1)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %v, %v", claims, err)
	}
	return claims[0]
}

// announce creates an artifact from what its storage type needs, and returns
// the queue's answer.
func (d *deployment) announce(t *testing.T, claim queue.Claim, name string, properties map[string]any) map[string]any {
	t.Helper()
	properties["expires"] = tcclient.Time(time.Now().Add(time.Hour))
	if properties["contentType"] == nil && properties["storageType"] != "error" && properties["storageType"] != "link" {
		properties["contentType"] = "text/plain"
	}
	request, err := json.Marshal(properties)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := d.CreateArtifact(t.Context(), claim, name, request)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// upload makes an s3 artifact.
func (d *deployment) upload(t *testing.T, claim queue.Claim, name, content string) {
	t.Helper()
	answer := d.announce(t, claim, name, map[string]any{"storageType": "s3"})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, answer["putUrl"].(string), strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/plain")
	resp, err := sender(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("upload of %s: %s", name, resp.Status)
	}
}

// uploadObject makes an object artifact.
func (d *deployment) uploadObject(t *testing.T, claim queue.Claim, name, content string) {
	t.Helper()
	made := d.announce(t, claim, name, map[string]any{"storageType": "object"})
	raw, err := json.Marshal(made["credentials"])
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ ClientID, AccessToken, Certificate string }
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	as := func() queue.Credentials {
		return queue.Credentials{ClientID: c.ClientID, AccessToken: mask.Secret(c.AccessToken), Certificate: mask.Secret(c.Certificate)}
	}
	body, err := json.Marshal(map[string]any{
		"projectId": made["projectId"], "uploadId": made["uploadId"], "expires": made["expires"],
		"proposedUploadMethods": map[string]any{"dataInline": map[string]any{
			"contentType": "text/plain", "objectData": base64.StdEncoding.EncodeToString([]byte(content)),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	object := made["name"].(string)
	ask(t, d.Client, queue.Question{
		Call: "createUpload", Service: "object", Method: http.MethodPut, Route: []string{"upload", object}, Body: body, Credentials: as,
	}, nil)
	ask(t, d.Client, queue.Question{
		Call: "finishUpload", Service: "object", Method: http.MethodPost, Route: []string{"finish-upload", object},
		Body: fmt.Appendf(nil, `{"projectId": %q, "uploadId": %q, "hashes": {}}`, made["projectId"], made["uploadId"]), Credentials: as,
	}, nil)
	if err := d.FinishArtifact(t.Context(), claim, name, made["uploadId"].(string)); err != nil {
		t.Fatal(err)
	}
}

func of(claim queue.Claim) func() queue.Credentials {
	return func() queue.Credentials { return claim.Credentials }
}

// read downloads an artifact from where it is found to be.
func (d *deployment) read(t *testing.T, credentials func() queue.Credentials, taskID, name string) (string, error) {
	t.Helper()
	downloads := &fetch.Client{}
	defer downloads.CloseIdle()
	b, err := downloads.Open(t.Context(), fetch.Request{Locate: func(ctx context.Context) (string, error) {
		return d.source().Artifact(ctx, credentials, taskID, name)
	}})
	if err != nil {
		return "", err
	}
	defer b.Close()
	text, err := io.ReadAll(b)
	return string(text), err
}

func TestArtifactOfEachStorageType(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *deployment) {
		elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if auth := r.Header.Get("Authorization"); auth != "" {
				t.Errorf("a server that is none of the deployment's is sent %s", auth)
			}
			fmt.Fprint(w, "referenced")
		}))
		defer elsewhere.Close()
		made := d.claim(t)
		d.upload(t, made, "public/s3", "stored")
		d.uploadObject(t, made, "public/object", "object")
		d.announce(t, made, "public/reference", map[string]any{"storageType": "reference", "url": elsewhere.URL + "/x?y=z"})
		d.announce(t, made, "public/link", map[string]any{"storageType": "link", "artifact": "public/s3"})
		d.announce(t, made, "public/link2", map[string]any{"storageType": "link", "artifact": "public/link"})
		d.announce(t, made, "public/error", map[string]any{
			"storageType": "error", "reason": "file-missing-on-worker", "message": "the file out.txt was not made",
		})
		user := d.claim(t)
		for name, want := range map[string]string{
			"s3": "stored", "object": "object", "reference": "referenced", "link": "stored", "link2": "stored",
		} {
			if got, err := d.read(t, of(user), made.TaskID, "public/"+name); err != nil || got != want {
				t.Errorf("%s: read %q, %v", name, got, err)
			}
		}
		_, err := d.read(t, of(user), made.TaskID, "public/error")
		failed, ok := errors.AsType[*inputs.Error](err)
		if !ok || failed.Infrastructure() || failed.Reason != "file-missing-on-worker" || !strings.Contains(err.Error(), "out.txt was not made") {
			t.Errorf("an error artifact: %v", err)
		}
	})
}

// The task's latest run is the one that counts.
func TestArtifactOfLatestRun(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *deployment) {
		made := d.claim(t)
		d.upload(t, made, "public/a", "first")
		if err := d.Resolve(t.Context(), made, queue.Outcome{State: "failed"}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.RerunTask(t.Context(), made.TaskID); err != nil {
			t.Fatal(err)
		}
		claims, err := d.Claim(t.Context(), worker, 1)
		if err != nil || len(claims) != 1 {
			t.Fatal(claims, err)
		}
		d.upload(t, claims[0], "public/a", "second")
		if got, err := d.read(t, of(claims[0]), made.TaskID, "public/a"); got != "second" {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

// A download that breaks off goes on where it was, with an address that is
// asked for anew.
func TestBrokenDownload(t *testing.T) {
	t.Parallel()
	f := queuetest.StartFake(t, queuetest.FakeOptions{})
	d := &deployment{Client: &queue.Client{RootURL: f.URL, HTTP: sender(t), Limits: hasty}, root: f.URL}
	made := d.claim(t)
	long := strings.Repeat("a line that is one of many\n", 1000)
	d.upload(t, made, "public/a", long)
	f.Inject(
		queuetest.Fault{Endpoint: "getData", Kind: queuetest.FaultTruncate, Bytes: 100, Max: 1},
		queuetest.Fault{Endpoint: "getData", Kind: queuetest.FaultTruncate, Bytes: 200, Max: 1},
	)
	if got, err := d.read(t, of(made), made.TaskID, "public/a"); err != nil || got != long {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	var calls []string
	for _, call := range f.Calls() {
		if call.Endpoint == "getData" || call.Endpoint == "latestArtifact" {
			calls = append(calls, fmt.Sprint(call.Endpoint, " ", call.Status))
		}
	}
	want := []string{"latestArtifact 200", "getData 200", "latestArtifact 200", "getData 206", "latestArtifact 200", "getData 206"}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Error(diff)
	}
}

// The client of Taskcluster's module, at version 44, escapes parts of paths as
// it would parts of queries: a space becomes a plus sign, which the queue takes
// for one.
func TestV44Defect_NamesInPaths(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *deployment) {
		made := d.claim(t)
		for _, name := range []string{
			"public/a b", "public/a+b", "public/100%", "public/%2e%20", "public/a/./b", "public/a/../b", "public/?a=b&c#d", `public/"\`, "public//x",
		} {
			d.upload(t, made, name, name)
			if got, err := d.read(t, of(made), made.TaskID, name); err != nil || got != name {
				t.Errorf("%s: read %q, %v", name, got, err)
			}
		}
		for _, namespace := range []string{"a.b", "100%", "it's*(~)!", "%2e"} {
			d.index(t, namespace, made.TaskID)
			if got, err := d.source().Indexed(t.Context(), of(made), namespace); err != nil || got != made.TaskID {
				t.Errorf("%s: %q, %v", namespace, got, err)
			}
		}
	})
}

// asked is a server that keeps what it is asked and answers in JSON.
func asked(t *testing.T, answer func(r *http.Request) (int, string)) (*inputs.Source, func() []*http.Request) {
	t.Helper()
	var mu sync.Mutex
	var requests []*http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests = append(requests, r)
		status, text := answer(r)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	source := &inputs.Source{Client: &queue.Client{RootURL: s.URL, HTTP: sender(t), Limits: hasty}, TaskQueueID: pool}
	return source, func() []*http.Request {
		mu.Lock()
		defer mu.Unlock()
		return requests
	}
}

// On the wire every part of a path is escaped as such, non-ASCII as UTF-8.
func TestV44Defect_EscapedPaths(t *testing.T) {
	t.Parallel()
	source, requests := asked(t, func(r *http.Request) (int, string) {
		return 200, `{"storageType": "s3", "url": "https://example.com/x", "taskId": "t", "requests": []}`
	})
	nobody := func() queue.Credentials { return queue.Credentials{} }
	for _, c := range []struct{ name, want string }{
		{"public/a b", "public%2Fa%20b"},
		{"a+b", "a+b"},
		{"100%", "100%25"},
		{"grün/日", "gr%C3%BCn%2F%E6%97%A5"},
		{"..", "%2E."},
	} {
		if _, err := source.Artifact(t.Context(), nobody, "task", c.name); err != nil {
			t.Fatal(err)
		}
		if _, err := source.Indexed(t.Context(), nobody, c.name); err != nil {
			t.Fatal(err)
		}
		sent := requests()
		if got := sent[len(sent)-2].URL.EscapedPath(); got != "/api/queue/v1/task/task/artifact-content/"+c.want {
			t.Errorf("artifact %s: %s", c.name, got)
		}
		if got := sent[len(sent)-1].URL.EscapedPath(); got != "/api/index/v1/task/"+c.want {
			t.Errorf("namespace %s: %s", c.name, got)
		}
	}
	if _, err := source.Purges(t.Context(), time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.FixedZone("", 3600))); err != nil {
		t.Fatal(err)
	}
	sent := requests()
	if got := sent[len(sent)-1].URL.RequestURI(); got != "/api/purge-cache/v1/purge-cache/proj-local%2Fworker?since=2026-01-02T02%3A04%3A05.006Z" {
		t.Errorf("purge requests: %s", got)
	}
}

// Reading is authorised by the task's own scopes, each time.
func TestScopesOfTheTask(t *testing.T) {
	t.Parallel()
	d := embedded(t)
	made := d.claim(t)
	d.upload(t, made, "private/a", "secret")
	d.announce(t, made, "public/link", map[string]any{"storageType": "link", "artifact": "private/a"})
	with, without := d.claim(t, "queue:get-artifact:private/*"), d.claim(t)
	for range 2 {
		if got, err := d.read(t, of(with), made.TaskID, "private/a"); err != nil || got != "secret" {
			t.Errorf("with the scope: read %q, %v", got, err)
		}
		for _, name := range []string{"private/a", "public/link"} {
			got, err := d.read(t, of(without), made.TaskID, name)
			failed, ok := errors.AsType[*inputs.Error](err)
			if !ok || failed.Infrastructure() || failed.Scope != "queue:get-artifact:"+name || got != "" {
				t.Errorf("%s without the scope: read %q, %v", name, got, err)
			}
			if !strings.Contains(err.Error(), "queue:get-artifact:private/a") {
				t.Errorf("the missing scope is not named: %v", err)
			}
		}
	}
}

// Credentials are asked for before each attempt, since a claim is renewed while
// its task runs.
func TestNewestCredentials(t *testing.T) {
	t.Parallel()
	var ids []string
	source, _ := asked(t, func(r *http.Request) (int, string) {
		_, id, _ := strings.Cut(r.Header.Get("Authorization"), `id="`)
		id, _, _ = strings.Cut(id, `"`)
		ids = append(ids, id)
		if len(ids) < 3 {
			return 503, "{}"
		}
		return 200, `{"storageType": "s3", "url": "https://example.com/x"}`
	})
	source.Client.Limits.Elapsed = time.Minute
	n := 0
	_, err := source.Artifact(t.Context(), func() queue.Credentials {
		n++
		return queue.Credentials{ClientID: fmt.Sprint("client-", n), AccessToken: "token"}
	}, "task", "public/a")
	if diff := cmp.Diff([]string{"client-1", "client-2", "client-3"}, ids); diff != "" || err != nil {
		t.Errorf("%v, %s", err, diff)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const refusal = `{"code": "SomeCode", "message": "some sentence"}`
	nobody := func() queue.Credentials { return queue.Credentials{} }
	for name, c := range map[string]struct {
		status         int
		answer         string
		infrastructure bool
		text           string
	}{
		"malformed":         {400, refusal, false, "some sentence"},
		"bad credentials":   {401, refusal, true, "some sentence"},
		"no scope":          {403, refusal, false, "it takes the scope"},
		"not found":         {404, refusal, false, "some sentence"},
		"gone":              {410, refusal, false, "some sentence"},
		"an error artifact": {424, `{"reason": "invalid-resource-on-worker", "message": "it is a directory"}`, false, "it is a directory"},
		"busy":              {429, refusal, true, "some sentence"},
		"broken":            {500, refusal, true, "some sentence"},
		"not available":     {503, "", true, "503"},
		"a proxy's page":    {404, "<html>no backend</html>", true, "did not come from the queue"},
		"a portal's page":   {200, "<html>log in</html>", true, "not understood"},
		"another document":  {200, `{"alive": true}`, true, "not understood"},
		"a list":            {200, `[]`, true, "not understood"},
		"nothing":           {200, ``, true, "not understood"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, _ := asked(t, func(*http.Request) (int, string) { return c.status, c.answer })
			_, artifact := source.Artifact(t.Context(), nobody, "task", "public/a")
			_, indexed := source.Indexed(t.Context(), nobody, "public.a")
			_, purges := source.Purges(t.Context(), time.Time{})
			for what, err := range map[string]error{"artifact": artifact, "indexed": indexed, "purge": purges} {
				failed, ok := errors.AsType[*inputs.Error](err)
				if !ok || failed.Infrastructure() != (c.infrastructure || what == "purge") || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

func TestContentAnswers(t *testing.T) {
	t.Parallel()
	nobody := func() queue.Credentials { return queue.Credentials{} }
	loop := `{"storageType": "link", "artifact": "public/a"}`
	for name, c := range map[string]struct {
		content, object string // what the queue and the object service answer
		status          int    // of the latter
		infrastructure  bool
		text            string
	}{
		"another type":            {`{"storageType": "azure"}`, "", 200, true, `"azure"`},
		"links without end":       {loop, "", 200, false, "more than 10 links"},
		"link to nothing":         {`{"storageType": "link"}`, "", 200, false, "empty"},
		"an object that is gone":  {`{"storageType": "object", "name": "t/x"}`, `{"code": "NotFound", "message": "gone"}`, 404, false, "gone"},
		"an object not to read":   {`{"storageType": "object", "name": "t/x"}`, `{"code": "NoScopes", "message": "no"}`, 403, true, "no"},
		"an object by other ways": {`{"storageType": "object", "name": "t/x"}`, `{"method": "torrent"}`, 200, true, "not understood"},
		"an object by none":       {`{"storageType": "object", "name": "t/x"}`, `{"code": "NoMethod", "message": "no"}`, 406, true, "no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, _ := asked(t, func(r *http.Request) (int, string) {
				if strings.HasPrefix(r.URL.Path, "/api/object/") {
					return c.status, c.object
				}
				return 200, c.content
			})
			address, err := source.Artifact(t.Context(), nobody, "task", "public/a")
			failed, ok := errors.AsType[*inputs.Error](err)
			if !ok || failed.Infrastructure() != c.infrastructure || !strings.Contains(err.Error(), c.text) || address != "" {
				t.Errorf("%s, %v", address, err)
			}
		})
	}
	source, requests := asked(t, func(r *http.Request) (int, string) {
		if strings.HasSuffix(r.URL.Path, "/b") {
			return 200, `{"storageType": "s3", "url": "https://example.com/b"}`
		}
		return 200, `{"storageType": "link", "artifact": "public/b"}`
	})
	if address, err := source.Artifact(t.Context(), nobody, "task", "public/a"); address != "https://example.com/b" || len(requests()) != 2 {
		t.Errorf("by a link: %s, %v", address, err)
	}
}

func TestEmptyNames(t *testing.T) {
	t.Parallel()
	source, requests := asked(t, func(*http.Request) (int, string) { return 200, "{}" })
	nobody := func() queue.Credentials { return queue.Credentials{} }
	_, noName := source.Artifact(t.Context(), nobody, "task", "")
	_, noTask := source.Artifact(t.Context(), nobody, "", "name")
	_, noNamespace := source.Indexed(t.Context(), nobody, "")
	for _, err := range []error{noName, noTask, noNamespace} {
		if failed, ok := errors.AsType[*inputs.Error](err); !ok || failed.Infrastructure() {
			t.Error(err)
		}
	}
	if len(requests()) > 0 {
		t.Error("the deployment was asked")
	}
}

func TestCanceled(t *testing.T) {
	t.Parallel()
	source, _ := asked(t, func(*http.Request) (int, string) { return 503, "{}" })
	source.Client.Limits = queue.Limits{FirstPause: time.Hour, MaxPause: time.Hour, Elapsed: 24 * time.Hour}
	aborted := errors.New("the task is aborted")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, aborted)
	defer cancel()
	if _, err := source.Artifact(ctx, of(queue.Claim{}), "task", "public/a"); err != aborted {
		t.Error(err)
	}
}

func TestIndexedAndArtifactMissing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *deployment) {
		user := d.claim(t)
		_, none := d.source().Indexed(t.Context(), of(user), "nothing.here")
		_, noArtifact := d.source().Artifact(t.Context(), of(user), user.TaskID, "public/none")
		_, noTask := d.source().Artifact(t.Context(), of(user), slugid.Nice(), "public/none")
		for _, err := range []error{none, noArtifact, noTask} {
			if failed, ok := errors.AsType[*inputs.Error](err); !ok || failed.Infrastructure() || !errors.Is(err, queue.ErrNotFound) {
				t.Error(err)
			}
		}
		other := d.claim(t)
		d.index(t, "some.name", user.TaskID)
		d.index(t, "some.name", other.TaskID)
		if got, err := d.source().Indexed(t.Context(), of(user), "some.name"); got != other.TaskID || err != nil {
			t.Errorf("indexed is %s, %v", got, err)
		}
	})
}

func TestPurges(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *deployment) {
		began := time.Now().Truncate(time.Millisecond)
		if got, err := d.source().Purges(t.Context(), time.Time{}); err != nil || len(got) != 0 {
			t.Fatalf("before any: %v, %v", got, err)
		}
		d.purge(t, "gradle")
		d.purge(t, "go build")
		got, err := d.source().Purges(t.Context(), began)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, p := range got {
			names[p.CacheName] = true
			if p.Before.Before(began) || p.Before.After(time.Now().Add(time.Second)) {
				t.Errorf("%s is to be purged from before %s", p.CacheName, p.Before)
			}
		}
		if diff := cmp.Diff(map[string]bool{"gradle": true, "go build": true}, names); diff != "" {
			t.Error(diff)
		}
		if got, err := d.source().Purges(t.Context(), time.Now().Add(time.Hour)); err != nil || len(got) != 0 {
			t.Errorf("since later: %v, %v", got, err)
		}
		if got, err := (inputs.Source{Client: d.Client, TaskQueueID: "other/pool"}).Purges(t.Context(), time.Time{}); err != nil || len(got) != 0 {
			t.Errorf("of another pool: %v, %v", got, err)
		}
	})
}

// A deployment whose clock is wrong, or this machine's, is asked by its own.
func TestPurgesByTwoClocks(t *testing.T) {
	t.Parallel()
	f := queuetest.StartFake(t, queuetest.FakeOptions{Skew: time.Hour})
	c := &queue.Client{RootURL: f.URL, HTTP: sender(t), Limits: hasty}
	if _, err := c.TaskGroup(t.Context(), slugid.Nice()); err == nil { // tells the time
		t.Fatal("there is a task group")
	}
	asked := time.Now()
	f.Purge(pool, "gradle", asked.Add(time.Hour))
	got, err := (inputs.Source{Client: c, TaskQueueID: pool}).Purges(t.Context(), asked.Add(-time.Minute))
	if err != nil || len(got) != 1 || got[0].Before.Sub(asked).Abs() > 30*time.Second {
		t.Errorf("%v, %v; it is %s", got, err, asked)
	}
	if got, err := (inputs.Source{Client: c, TaskQueueID: pool}).Purges(t.Context(), asked.Add(time.Minute)); len(got) != 0 {
		t.Errorf("since later: %v, %v", got, err)
	}
}

// What is said about a failure has no secrets in it.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	source, _ := asked(t, func(r *http.Request) (int, string) {
		text, err := json.Marshal(map[string]string{"code": "X", "message": "you sent very-secret-token and " + r.Header.Get("Authorization")})
		if err != nil {
			t.Error(err)
		}
		return 404, string(text)
	})
	_, err := source.Artifact(t.Context(), func() queue.Credentials {
		return queue.Credentials{ClientID: "client", AccessToken: "very-secret-token"}
	}, "task", "public/a")
	if err == nil || bytes.Contains([]byte(err.Error()), []byte("very-secret-token")) {
		t.Error(err)
	}
}
