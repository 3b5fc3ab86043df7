// Package phasetimings publishes where the time of a run went, in the form of
// trace events, which profiler viewers open.
//
// The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
package phasetimings

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/task"
)

const (
	name         = "phaseTimings"
	artifactName = "public/task-phases.json"
)

// Feature publishes the phases of runs that ask for it.
type Feature struct{}

// New returns the feature.
func New() Feature { return Feature{} }

// Name is "phaseTimings".
func (Feature) Name() string { return name }

// Attach publishes when the log is complete: what comes after that is not in it.
func (Feature) Attach(run *task.Run) (features.Hooks, error) {
	if !run.Payload.Features.PhaseTimings {
		return features.Hooks{}, nil
	}
	return features.Hooks{
		Reserves: []string{artifactName},
		Seal: func(ctx context.Context) error {
			text, err := traceEvents(run, time.Now())
			if err != nil {
				return fmt.Errorf("cannot encode the phases of the run: %w", err)
			}
			_, err = run.Publish(ctx, artifact.File{Name: artifactName, ContentType: "application/json"}, bytes.NewReader(text))
			return err
		},
	}, nil
}

// trace is the object form of the format.
type trace struct {
	TraceEvents     []event        `json:"traceEvents"`
	DisplayTimeUnit string         `json:"displayTimeUnit"`
	OtherData       map[string]any `json:"otherData"`
}

// event is a complete event: a name, a start and a duration. Those that lie in
// another are shown below it.
type event struct {
	Name     string `json:"name"`
	Category string `json:"cat"`
	Kind     string `json:"ph"`
	Start    int64  `json:"ts"`  // in µs since 1970
	Elapsed  int64  `json:"dur"` // in µs
	Process  int    `json:"pid"`
	Thread   int    `json:"tid"`
}

func traceEvents(run *task.Run, now time.Time) ([]byte, error) {
	t := trace{
		TraceEvents: []event{}, DisplayTimeUnit: "ms",
		OtherData: map[string]any{"taskId": run.TaskID, "runId": run.RunID},
	}
	for _, p := range run.Phases {
		start, end := p.Start.UnixMicro(), p.Start.Add(p.Elapsed).UnixMicro()
		if p.Elapsed == 0 {
			end = now.UnixMicro()
		}
		category := "phase"
		if p.Part {
			category = "part"
		}
		t.TraceEvents = append(t.TraceEvents, event{
			Name: p.Name, Category: category, Kind: "X", Process: 1, Thread: 1,
			Start: start, Elapsed: end - start, // rounded at both ends, so that no part is longer than its phase
		})
	}
	return json.MarshalIndent(t, "", " ")
}
