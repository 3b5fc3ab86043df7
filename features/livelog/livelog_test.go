package livelog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/task/tasktest"
	"github.com/taskcluster/generic-worker/payload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	liveName    = "public/logs/live.log"
	backingName = "public/logs/live_backing.log"
)

func newClient(t testing.TB) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// fixture is a worker's live log, a queue and one claimed run.
type fixture struct {
	*Feature
	run   *task.Run
	fake  *queuetest.Fake
	log   *tasktest.Text
	hooks features.Hooks
}

func newFixture(t *testing.T, config Config) *fixture {
	t.Helper()
	log := &tasktest.Text{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	f := &fixture{Feature: New(config, logger), fake: queuetest.StartFake(t, queuetest.FakeOptions{}), log: log}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	f.fake.AddTask(map[string]any{})
	f.run = tasktest.Claimed(t, f.fake)
	f.run.Operator = logger
	f.run.Payload = payload.Payload{
		MaxRunTime: time.Hour,
		Features:   payload.Features{LiveLog: true, BackingLog: true},
		Logs:       payload.Logs{Live: liveName, Backing: backingName},
	}
	f.attach(t)
	return f
}

func (f *fixture) attach(t *testing.T) {
	t.Helper()
	hooks, err := f.Attach(f.run)
	if err != nil {
		t.Fatal(err)
	}
	f.hooks = hooks
	if hooks.Close != nil {
		t.Cleanup(func() {
			if err := hooks.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

func newLog(t testing.TB) *task.Log { return tasktest.New(t).Log }

// published waits for the live log to be an artifact of the type.
func (f *fixture) published(t *testing.T, storageType string) queuetest.Stored {
	t.Helper()
	return f.publishedAs(t, liveName, storageType)
}

func (f *fixture) publishedAs(t *testing.T, name, storageType string) queuetest.Stored {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		answered := created(f.fake.Calls())
		view, _ := f.fake.Run(f.run.TaskID, f.run.RunID)
		stored := view.Artifact(name)
		if stored.StorageType == storageType {
			return stored
		}
		err := f.fake.WaitCalls(ctx, func(calls []queuetest.Call) bool { return created(calls) > answered })
		if err != nil {
			t.Fatalf("%s is %+v: %v\n%s", name, stored, err, f.log)
		}
	}
}

// created counts the answers to createArtifact.
func created(calls []queuetest.Call) int {
	n := 0
	for _, call := range calls {
		if call.Endpoint == "createArtifact" && call.Status != 0 {
			n++
		}
	}
	return n
}

// target is what a reference or link leads to.
func target(t *testing.T, stored queuetest.Stored) string {
	t.Helper()
	var request struct{ URL, Artifact string }
	if err := json.Unmarshal(stored.Request, &request); err != nil {
		t.Fatal(err)
	}
	return request.URL + request.Artifact
}

func get(t *testing.T, url string, header ...string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := newClient(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func TestTheLogIsLive(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{Enabled: true})
	f.Start(t.Context())
	if len(f.hooks.Reserves) != 1 || f.hooks.Reserves[0] != liveName || f.Name() != "liveLog" {
		t.Errorf("%s reserves %q", f.Name(), f.hooks.Reserves)
	}
	fmt.Fprint(f.run.Log, "before ")
	stage, abort := context.WithCancel(t.Context())
	if err := f.hooks.Prepare(stage); err != nil {
		t.Fatal(err)
	}
	abort() // readers want to see also how a task is aborted
	reference := f.published(t, "reference")
	if reference.ContentType != "text/plain; charset=utf-8" {
		t.Errorf("published as %+v", reference)
	}
	if left := time.Until(reference.Expires); left < 74*time.Minute || left > 75*time.Minute {
		t.Errorf("the live log expires in %v", left)
	}
	url := target(t, reference)
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Errorf("the live log is at %s", url)
	}

	response := get(t, url)
	for name, want := range map[string]string{
		"Content-Type": "text/plain; charset=utf-8", "Access-Control-Allow-Origin": "*", "Accept-Ranges": "bytes", "Cache-Control": "no-store",
	} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if response.StatusCode != http.StatusOK || response.ContentLength != -1 {
		t.Errorf("the answer is %s with length %d", response.Status, response.ContentLength)
	}
	expect(t, response.Body, "before ")
	begin := time.Now()
	for _, text := range []string{"one\n", "two\n", "partial"} {
		fmt.Fprint(f.run.Log, text)
		expect(t, response.Body, text)
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("three lines took %v", took)
	}
	f.run.Log.Info("end")
	if err := errors.Join(f.run.Log.Close(), f.hooks.Seal(t.Context())); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(response.Body)
	if err != nil || !strings.HasSuffix(string(rest), "] end\n") {
		t.Errorf("the stream ended with %q, %v", rest, err)
	}

	link := f.published(t, "link")
	if target(t, link) != backingName || !link.Expires.Equal(time.Time(f.run.Definition.Expires)) {
		t.Errorf("the link is %s", link.Request)
	}
	if err := f.hooks.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if response := get(t, url); response.StatusCode != http.StatusGone {
		t.Errorf("after the run the answer is %s", response.Status)
	}
	token := url[strings.LastIndex(url, "/")+1:]
	if len(token) < 26 || strings.Contains(f.log.String(), token) {
		t.Errorf("the token %q is short or in the operator's log:\n%s", token, f.log)
	}
	if bad := f.fake.Violations(); len(bad) > 0 {
		t.Errorf("violations: %q", bad)
	}
}

func expect(t *testing.T, reader io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(reader, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func TestTheURLHasThePublicAddress(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]string{"192.0.2.7": "http://192.0.2.7:", "2001:db8::7": "http://[2001:db8::7]:"} {
		f := newFixture(t, Config{Enabled: true, PublicIP: ip})
		f.Start(t.Context())
		if err := f.hooks.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if url := target(t, f.published(t, "reference")); !strings.HasPrefix(url, want) {
			t.Errorf("the live log is at %s", url)
		}
	}
}

func TestTheReferenceExpiresWithTheTask(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{Enabled: true})
	f.Start(t.Context())
	f.run.Payload.MaxRunTime = 10 * 365 * 24 * time.Hour
	if err := f.hooks.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.published(t, "reference").Expires; !got.Equal(time.Time(f.run.Definition.Expires)) {
		t.Errorf("the live log expires %v", got)
	}
}

func TestNoLiveLog(t *testing.T) {
	t.Parallel()
	asks := &task.Run{Payload: payload.Payload{Features: payload.Features{LiveLog: true}}}
	for _, row := range []struct {
		config Config
		run    *task.Run
	}{{Config{}, asks}, {Config{Enabled: true}, &task.Run{}}} {
		f := New(row.config, slog.New(slog.DiscardHandler))
		hooks, err := f.Attach(row.run)
		if err != nil || hooks.Prepare != nil || hooks.Seal != nil || len(hooks.Reserves) > 0 {
			t.Errorf("%+v: got %+v, %v", row.config, hooks, err)
		}
		if !row.config.Enabled {
			f.Start(t.Context())
		}
		if err := f.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestUnpreparedRunGetsItsLink(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{Enabled: true})
	if err := f.hooks.Seal(t.Context()); err != nil {
		t.Error(err)
	}
	f.published(t, "link")
}

func TestWithoutBackingLogTheReferenceStays(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{Enabled: true})
	f.run.Payload.Features.BackingLog = false
	f.Start(t.Context())
	if err := errors.Join(f.hooks.Prepare(t.Context()), f.hooks.Seal(t.Context()), f.hooks.Close(t.Context())); err != nil {
		t.Error(err)
	}
	if stored := f.published(t, "reference"); stored.Creations != 1 {
		t.Errorf("the live log is %+v", stored)
	}
}

func TestTroubleWithTheQueueIsNotTheTasks(t *testing.T) {
	t.Parallel()
	for _, fault := range []queuetest.Fault{
		{Endpoint: "createArtifact", Kind: queuetest.FaultStatus, Status: 400},
		{Endpoint: "createArtifact", Kind: queuetest.FaultStatus, Status: 403},
		{Endpoint: "createArtifact", Kind: queuetest.FaultGarbage, Max: 1},
	} {
		t.Run(fmt.Sprint(fault.Kind, fault.Status), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Config{Enabled: true})
			f.Start(t.Context())
			f.fake.Inject(fault)
			err := errors.Join(f.hooks.Prepare(t.Context()), f.run.Log.Close(), f.hooks.Seal(t.Context()), f.hooks.Close(t.Context()))
			if err != nil {
				t.Error(err)
			}
			if fault.Max == 0 && !strings.Contains(f.log.String(), "cannot publish the live log") {
				t.Errorf("the operator was told:\n%s", f.log)
			}
		})
	}
}

func TestSlowQueueDelaysNothingButTheSeal(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{Enabled: true})
	f.Start(t.Context())
	f.fake.Inject(queuetest.Fault{Endpoint: "createArtifact", Kind: queuetest.FaultHang, Max: 1})
	begin := time.Now()
	if err := f.hooks.Prepare(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("the first command waited %v for the queue", took)
	}
	called, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := f.fake.WaitCalls(called, func(calls []queuetest.Call) bool {
		return len(calls) > 0 && calls[len(calls)-1].Endpoint == "createArtifact"
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if err := f.hooks.Seal(ctx); err != nil {
		t.Error(err)
	}
	if err := f.hooks.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("all stages took %v", took)
	}
}

func TestTakenPortIsTriedAgain(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := newFixture(t, Config{Enabled: true, ExposePort: taken.Addr().(*net.TCPAddr).Port})
	f.server.retry = 20 * time.Millisecond
	f.Start(t.Context())

	// A task that comes and goes meanwhile is none the worse for it.
	if err := errors.Join(f.hooks.Prepare(t.Context()), f.hooks.Seal(t.Context()), f.hooks.Close(t.Context())); err != nil {
		t.Error(err)
	}
	if link := f.published(t, "link"); link.Creations != 1 {
		t.Errorf("the live log is %+v", link)
	}

	// One that is still there gets its live log.
	f.run.Payload.Logs.Live = "public/other.log"
	f.attach(t)
	if err := f.hooks.Prepare(t.Context()); err != nil {
		t.Error(err)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	f.publishedAs(t, "public/other.log", "reference")
	if !strings.Contains(f.log.String(), "livelogExposePort") {
		t.Errorf("the operator was told:\n%s", f.log)
	}
}
