package resourcemonitor

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
	name         = "resourceMonitor"
	artifactName = "public/task-resources.json"
)

// Config is when memory counts as short. Both limits have to be crossed.
type Config struct {
	MaxPercent   int           // of the machine's memory that may be used
	MinAvailable int64         // bytes that have to be available
	Allowed      time.Duration // for which they may be crossed
	WarnOnly     bool          // do not end the task
}

// Feature is resourceMonitor. Use New.
type Feature struct{ config Config }

// New returns the feature. Every task has it, unless it does not want to.
func New(config Config) *Feature { return &Feature{config} }

// Name returns "resourceMonitor".
func (*Feature) Name() string { return name }

// Attach measures the run's commands; their figures are in the log, and in an
// artifact if the payload asks for one.
func (f *Feature) Attach(run *task.Run) (features.Hooks, error) {
	asked := run.Payload.Features.ResourceMonitor
	if !asked.On {
		return features.Hooks{}, nil
	}
	m := &monitor{Config: f.config, run: run}
	if !asked.Artifact {
		return features.Hooks{Watch: m.watch}, nil
	}
	return features.Hooks{Reserves: []string{artifactName}, Watch: m.watch, Finish: m.publish}, nil
}

// monitor measures the commands of one run, one after the other.
type monitor struct {
	Config
	run      *task.Run
	measured []measurement
	walks    walks
}

// publish uploads the figures of all commands that were started.
func (m *monitor) publish(ctx context.Context, so task.Resolution) error {
	if so == task.Canceled || m.run.Session == nil {
		return nil
	}
	text, err := json.MarshalIndent(newReport(m.measured), "", "  ")
	if err != nil {
		return fmt.Errorf("cannot encode the figures of the task: %w", err)
	}
	_, err = m.run.Publish(ctx, artifact.File{Name: artifactName, ContentType: "application/json"}, bytes.NewReader(text))
	return err
}
