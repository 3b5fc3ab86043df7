package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/taskcluster/generic-worker/internal/task"
)

// sendLimit bounds one request to the collector.
const sendLimit = 10 * time.Second

// spans sends one trace per run: the run, its phases, and their parts.
type spans struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

func exportSpans(ctx context.Context, c Config, log *slog.Logger) (*spans, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.TracesURL), otlptracehttp.WithTimeout(sendLimit))
	if err != nil {
		return nil, fmt.Errorf("cannot send traces; check tracesURL in the configuration: %w", err)
	}
	about := resource.NewSchemaless(
		attribute.String("service.name", "generic-worker"), attribute.String("service.version", c.Version),
		attribute.String("taskcluster.worker_pool_id", c.Worker.PoolID), attribute.String("taskcluster.worker_id", c.Worker.ID),
	)
	return newSpans(telling{exporter, log}, about), nil
}

func newSpans(exporter sdktrace.SpanExporter, about *resource.Resource) *spans {
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(about),
		sdktrace.WithBatcher(exporter, sdktrace.WithMaxQueueSize(4096)), // more is dropped
	)
	return &spans{provider: provider, tracer: provider.Tracer("github.com/taskcluster/generic-worker")}
}

// telling tells the operator when spans cannot be sent, instead of a handler
// that the whole process would share.
type telling struct {
	sdktrace.SpanExporter
	log *slog.Logger
}

// ExportSpans sends spans; that it cannot is no error for the processor.
func (t telling) ExportSpans(ctx context.Context, list []sdktrace.ReadOnlySpan) error {
	if err := t.SpanExporter.ExportSpans(ctx, list); err != nil {
		t.log.Warn("cannot send traces; check tracesURL and the collector there", "spans", len(list), "error", err)
	}
	return nil
}

// ended makes the spans of a run when all of them are over.
func (s *spans) ended(sum task.Summary) {
	end := sum.Claimed
	for _, p := range sum.Phases {
		if over := p.Start.Add(p.Elapsed); over.After(end) {
			end = over
		}
	}
	ctx, whole := s.tracer.Start(context.Background(), "task", trace.WithNewRoot(), trace.WithTimestamp(sum.Claimed), trace.WithAttributes(
		attribute.String("taskcluster.task_id", sum.TaskID), attribute.Int("taskcluster.run_id", sum.RunID),
		attribute.String("taskcluster.resolution", sum.Resolution.String()),
	))
	if sum.Resolution != task.Completed {
		whole.SetStatus(codes.Error, sum.Resolution.String()) // the reason is in the task's log: it may quote the task
	}
	within := ctx
	for _, p := range sum.Phases {
		parent := ctx
		if p.Part {
			parent = within
		}
		inner, span := s.tracer.Start(parent, p.Name, trace.WithTimestamp(p.Start))
		span.End(trace.WithTimestamp(p.Start.Add(p.Elapsed)))
		if !p.Part {
			within = inner
		}
	}
	whole.End(trace.WithTimestamp(end))
}

func (s *spans) close(ctx context.Context) error {
	if err := s.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("cannot send the last traces: %w", err)
	}
	return nil
}
