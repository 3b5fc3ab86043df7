package telemetry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/taskcluster/generic-worker/internal/task"
)

// Config says what is shown, and where.
type Config struct {
	Worker  Worker
	Version string
	// Events receives the WORKER_METRICS lines; nil for none.
	Events io.Writer
	// MetricsAddress is the host and port on which Prometheus finds /metrics;
	// empty for none.
	MetricsAddress string
	// TracesURL is where an OpenTelemetry collector takes spans by OTLP over
	// HTTP, such as http://127.0.0.1:4318/v1/traces; empty for none.
	TracesURL string
}

// Worker is who speaks.
type Worker struct {
	PoolID       string // provisionerId/workerType
	ID           string
	Region       string // may be empty
	InstanceType string // may be empty
	Capacity     int
}

// Telemetry tells what a worker does. Its methods are called concurrently and
// return at once. Three of them are what a worker.Observer has.
type Telemetry struct {
	events  *events
	metrics *metrics
	spans   *spans
}

// Start opens what was asked for. An error names the setting to change. Nothing
// is waited for: a collector that does not answer is none of a worker's business.
func Start(ctx context.Context, c Config, log *slog.Logger) (*Telemetry, error) {
	t := &Telemetry{events: newEvents(c)}
	var err error
	if c.MetricsAddress != "" {
		if t.metrics, err = serveMetrics(c, log); err != nil {
			return nil, err
		}
	}
	if c.TracesURL != "" {
		if t.spans, err = exportSpans(ctx, c, log); err != nil {
			return nil, errors.Join(err, t.Close(ctx))
		}
	}
	return t, nil
}

// Ready tells that the worker is about to claim its first task.
func (t *Telemetry) Ready() {
	t.events.boot()
	t.events.write("workerReady", time.Now(), nil)
}

// Asked tells what the queue answered to a claim.
func (t *Telemetry) Asked(got int, err error) {
	if t.metrics != nil {
		t.metrics.asked(got, err)
	}
}

// Started tells that a run has been claimed.
func (t *Telemetry) Started(s task.Start) {
	t.events.started(s)
	if t.metrics != nil {
		t.metrics.running.Inc()
	}
}

// Ended tells what became of a run.
func (t *Telemetry) Ended(s task.Summary) {
	t.events.ended(s)
	if t.metrics != nil {
		t.metrics.ended(s)
	}
	if t.spans != nil {
		t.spans.ended(s)
	}
}

// MetricsAddr is where metrics are served; nil if they are not.
func (t *Telemetry) MetricsAddr() net.Addr {
	if t.metrics == nil {
		return nil
	}
	return t.metrics.address
}

// Close sends what was not sent yet, within ctx, and ends the rest.
func (t *Telemetry) Close(ctx context.Context) error {
	var errs []error
	if t.metrics != nil {
		errs = append(errs, t.metrics.server.Close())
	}
	if t.spans != nil {
		errs = append(errs, t.spans.close(ctx))
	}
	return errors.Join(errs...)
}
