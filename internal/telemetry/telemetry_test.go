package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/task"
)

var worker = Worker{PoolID: "proj/linux", ID: "w1", Region: "r", InstanceType: "i", Capacity: 4}

// ended is a run that took a second: phases one after the other, the last but
// one in two parts.
func ended(resolution task.Resolution) task.Summary {
	start := time.UnixMilli(1_700_000_000_000)
	phase := func(name string, part bool, from, lasting time.Duration) task.Phase {
		return task.Phase{Name: name, Part: part, Start: start.Add(from), Elapsed: lasting}
	}
	return task.Summary{
		TaskID: "fN1SbArXTPSVFNUvaOlinQ", RunID: 2, Claimed: start, Resolution: resolution,
		Err: errors.New("the secret is hunter2"),
		Phases: task.Phases{
			phase("setup", false, 0, 100*time.Millisecond),
			phase("commands", false, 100*time.Millisecond, 800*time.Millisecond),
			phase("command 0", true, 100*time.Millisecond, 300*time.Millisecond),
			phase("command 1", true, 400*time.Millisecond, 500*time.Millisecond),
			phase("resolve", false, 900*time.Millisecond, 100*time.Millisecond),
		},
		Artifacts: []artifact.Record{{Name: "public/a", StorageType: "s3", Stored: 10}, {Name: "public/b", StorageType: "link"}},
	}
}

func start(t *testing.T, c Config) *Telemetry {
	t.Helper()
	c.Worker = worker
	tel, err := Start(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func TestEvents(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	tel := start(t, Config{Events: &out})
	tel.Ready()
	s := ended(task.Failed)
	tel.Started(task.Start{TaskID: s.TaskID, RunID: 0, Created: time.Unix(1_600_000_000, 0), Claimed: time.Unix(1_600_000_007, 0)})
	s.RunID = 0
	tel.Ended(s)
	var kinds []string
	for line := range strings.Lines(out.String()) {
		text, ok := strings.CutPrefix(line, "WORKER_METRICS ")
		var e map[string]any
		if err := json.Unmarshal([]byte(text), &e); err != nil || !ok {
			t.Fatalf("%q: %v", line, err)
		}
		kinds = append(kinds, e["eventType"].(string))
		want := map[string]any{
			"eventType": e["eventType"], "timestamp": e["timestamp"], "worker": "generic-worker",
			"workerPoolId": "proj/linux", "workerId": "w1", "region": "r", "instanceType": "i",
		}
		switch e["eventType"] {
		case "taskQueued":
			want["timestamp"] = 1.6e9
			fallthrough
		case "taskStart", "taskFinish":
			want["taskId"], want["runId"] = s.TaskID, 0.0
		case "instanceBoot":
			if boot := time.Unix(int64(e["timestamp"].(float64)), 0); boot.After(time.Now()) || boot.Year() < 2020 {
				t.Errorf("the machine was started at %v", boot)
			}
		}
		if diff := cmp.Diff(want, e); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff([]string{"instanceBoot", "workerReady", "taskQueued", "taskStart", "taskFinish"}, kinds); diff != "" {
		t.Error(diff)
	}
}

// TestMetrics asks as Prometheus does, after every resolution there is: the
// series are few, have no task's name in them, and no more come.
func TestMetrics(t *testing.T) {
	t.Parallel()
	tel := start(t, Config{MetricsAddress: "127.0.0.1:0"})
	defer tel.Close(t.Context())
	rounds := func(n int) {
		for range n {
			for _, resolution := range []task.Resolution{
				task.Completed, task.Failed, task.MalformedPayload, task.ResourceUnavailable, task.InternalError,
				task.IntermittentTask, task.WorkerShutdown, task.Canceled,
			} {
				tel.Asked(1, nil)
				s := ended(resolution)
				s.Phases = nil
				for _, name := range []string{"claim", "setup", "prepare", "commands", "hold", "uploads", "seal", "resolve"} {
					s.Phases.Begin(name, false)()
					for i := range 100 {
						s.Phases.Begin(fmt.Sprint(name, " ", i), true)()
					}
				}
				tel.Started(task.Start{TaskID: s.TaskID})
				tel.Ended(s)
			}
			tel.Asked(0, nil)
			tel.Asked(0, errors.New("down"))
		}
	}
	rounds(1)
	rounds(2)
	tel.Started(task.Start{})
	response, err := http.Get("http://" + tel.MetricsAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	series := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			series++
		}
	}
	if series > 200 || series < 50 {
		t.Errorf("%d series", series)
	}
	for _, want := range []string{
		`generic_worker_tasks_total{resolution="completed"} 3`, "generic_worker_tasks_running 1", "generic_worker_capacity 4",
		`generic_worker_claims_total{answer="task"} 24`, `generic_worker_claims_total{answer="error"} 3`,
		`generic_worker_phase_seconds_count{phase="commands"} 24`, `generic_worker_artifacts_total{storage_type="s3"} 24`,
		"generic_worker_artifact_bytes_total 240", `worker_pool_id="proj/linux"`, "go_goroutines ",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s", want)
		}
	}
	for _, not := range []string{"fN1SbArXTPSVFNUvaOlinQ", "hunter2"} {
		if strings.Contains(string(text), not) {
			t.Errorf("%s can be read by everybody", not)
		}
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
}

func TestMetricsAddressIsTaken(t *testing.T) {
	t.Parallel()
	tel := start(t, Config{MetricsAddress: "127.0.0.1:0"})
	defer tel.Close(t.Context())
	_, err := Start(t.Context(), Config{MetricsAddress: tel.MetricsAddr().String()}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "check metricsAddress in the configuration") {
		t.Errorf("got %v", err)
	}
}

// TestTraces is a collector: one trace for each run, its phases below it, and
// their parts below those.
func TestTraces(t *testing.T) {
	t.Parallel()
	requests := make(chan *collector.ExportTraceServiceRequest, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			unzipped, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = unzipped
		}
		text, err := io.ReadAll(body)
		request := new(collector.ExportTraceServiceRequest)
		if err := errors.Join(err, proto.Unmarshal(text, request)); err != nil {
			t.Error(err)
		}
		requests <- request
	}))
	defer server.Close()
	tel := start(t, Config{TracesURL: server.URL + "/v1/traces"})
	tel.Ended(ended(task.Failed))
	if err := tel.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	names := map[string]string{}
	spans := (<-requests).ResourceSpans[0].ScopeSpans[0].Spans
	for _, s := range spans {
		names[string(s.SpanId)] = s.Name
	}
	for _, s := range spans {
		if failed := s.Status.GetCode() == traces.Status_STATUS_CODE_ERROR && s.Status.Message == "failed"; failed != (s.Name == "task") {
			t.Errorf("%s has the status %v", s.Name, s.Status)
		}
		got[s.Name] = names[string(s.ParentSpanId)] + " " + time.Duration(s.EndTimeUnixNano-s.StartTimeUnixNano).String()
		if strings.Contains(s.String(), "hunter2") {
			t.Errorf("the reason is in a trace: %v", s)
		}
	}
	want := map[string]string{
		"task": " 1s", "setup": "task 100ms", "commands": "task 800ms", "resolve": "task 100ms",
		"command 0": "commands 300ms", "command 1": "commands 500ms",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNoCollector: nobody takes the traces, and the worker does not mind.
func TestNoCollector(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	var log bytes.Buffer
	tel, err := Start(t.Context(), Config{TracesURL: server.URL}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	tel.Ended(ended(task.Completed))
	if err := tel.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "cannot send traces; check tracesURL") {
		t.Errorf("the operator reads %q", log.String())
	}
}

// TestHangingCollector: the end of the worker waits no longer than it is told.
func TestHangingCollector(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	tel := start(t, Config{TracesURL: server.URL})
	tel.Ended(ended(task.Completed))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tel.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
