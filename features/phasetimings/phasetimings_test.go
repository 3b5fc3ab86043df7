package phasetimings

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/task"
)

// TestTraceEvents are what viewers open: each phase with its start and length,
// its parts within it, and what lasts still up to now.
func TestTraceEvents(t *testing.T) {
	t.Parallel()
	began := time.UnixMicro(1_900_000_000_000_007)
	phase := func(name string, part bool, from, lasting time.Duration) task.Phase {
		return task.Phase{Name: name, Part: part, Start: began.Add(from), Elapsed: lasting}
	}
	run := &task.Run{TaskID: "fN1SbArXTPSVFUUvaOlinQ", RunID: 2, Phases: task.Phases{
		phase("claim", false, 0, time.Nanosecond),
		phase("commands", false, 4900*time.Nanosecond, 2*time.Second+900*time.Nanosecond),
		phase("command 0", true, 5*time.Microsecond, 2*time.Second+800*time.Nanosecond), // ends no later
		phase("seal", false, 3*time.Second, 0),
		phase("phaseTimings", true, 4*time.Second, 0),
	}}
	text, err := traceEvents(run, began.Add(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	event := func(name, category string, start, lasting float64) any {
		return map[string]any{"name": name, "cat": category, "ph": "X", "ts": 1_900_000_000_000_007 + start, "dur": lasting, "pid": 1.0, "tid": 1.0}
	}
	want := map[string]any{
		"displayTimeUnit": "ms",
		"otherData":       map[string]any{"taskId": "fN1SbArXTPSVFUUvaOlinQ", "runId": 2.0},
		"traceEvents": []any{
			event("claim", "phase", 0, 0),
			event("commands", "phase", 4, 2e6+1),
			event("command 0", "part", 5, 2e6),
			event("seal", "phase", 3e6, 2e6),
			event("phaseTimings", "part", 4e6, 1e6),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if text, err := traceEvents(&task.Run{}, began); err != nil || !json.Valid(text) {
		t.Errorf("without phases: %s, %v", text, err)
	}
}

// TestNotAsked is a payload that wants no artifact, and gets none.
func TestNotAsked(t *testing.T) {
	t.Parallel()
	run := &task.Run{}
	if hooks, err := New().Attach(run); err != nil || hooks.Seal != nil || hooks.Reserves != nil {
		t.Errorf("got %+v, %v", hooks, err)
	}
	run.Payload.Features.PhaseTimings = true
	hooks, err := New().Attach(run)
	if diff := cmp.Diff([]string{"public/task-phases.json"}, hooks.Reserves); err != nil || hooks.Seal == nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}
