package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/task"
)

// metrics are the worker's numbers, and their server.
type metrics struct {
	server  *http.Server
	address net.Addr

	running   prometheus.Gauge
	lastAsked prometheus.Gauge
	claims    *prometheus.CounterVec   // by answer
	runs      *prometheus.CounterVec   // by resolution
	phases    *prometheus.HistogramVec // by phase
	artifacts *prometheus.CounterVec   // by storage type
	bytes     prometheus.Counter
}

// durations are the bounds, in seconds, between which phases are counted.
var durations = []float64{0.01, 0.1, 1, 10, 60, 600, 3600}

func newMetrics(c Config) (*metrics, *prometheus.Registry) {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "generic_worker", Name: name, Help: help}
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "generic_worker", Name: name, Help: help})
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "generic_worker", Name: "info", Help: "Always 1; who the worker is.",
		ConstLabels: prometheus.Labels{"version": c.Version, "worker_pool_id": c.Worker.PoolID, "worker_id": c.Worker.ID},
	})
	info.Set(1)
	capacity := gauge("capacity", "Tasks that can run at the same time.")
	capacity.Set(float64(c.Worker.Capacity))
	m := &metrics{
		running:   gauge("tasks_running", "Tasks that are running, from their claim until they are cleaned up."),
		lastAsked: gauge("last_claim_timestamp_seconds", "When the queue last answered a claim, in seconds since 1970."),
		claims:    prometheus.NewCounterVec(counter("claims_total", "Claims, by what came of them."), []string{"answer"}),
		runs:      prometheus.NewCounterVec(counter("tasks_total", "Runs that ended, by resolution."), []string{"resolution"}),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "generic_worker", Name: "phase_seconds", Help: "How long phases of runs took.", Buckets: durations,
		}, []string{"phase"}),
		artifacts: prometheus.NewCounterVec(counter("artifacts_total", "Artifacts that were published, by storage type."), []string{"storage_type"}),
		bytes:     prometheus.NewCounter(counter("artifact_bytes_total", "Bytes of artifacts that were sent, as they are stored.")),
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(info, capacity, m.running, m.lastAsked, m.claims, m.runs, m.phases, m.artifacts, m.bytes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m, registry
}

// serveMetrics listens where Prometheus looks.
func serveMetrics(c Config, log *slog.Logger) (*metrics, error) {
	listener, err := net.Listen("tcp", c.MetricsAddress)
	if err != nil {
		return nil, fmt.Errorf("cannot serve metrics; check metricsAddress in the configuration: %w", err)
	}
	m, registry := newMetrics(c)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	m.address = listener.Addr()
	m.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := m.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are no longer served", "error", err)
		}
	}()
	return m, nil
}

func (m *metrics) asked(got int, err error) {
	answer := "nothing"
	switch {
	case err != nil:
		answer = "error"
	case got > 0:
		answer = "task"
	}
	m.claims.WithLabelValues(answer).Inc()
	if err == nil {
		m.lastAsked.SetToCurrentTime()
	}
}

func (m *metrics) ended(s task.Summary) {
	m.running.Dec()
	m.runs.WithLabelValues(s.Resolution.String()).Inc()
	for _, p := range s.Phases {
		if !p.Part { // the names of parts are too many
			m.phases.WithLabelValues(p.Name).Observe(p.Elapsed.Seconds())
		}
	}
	for _, a := range s.Artifacts {
		if slices.Contains([]string{artifact.TypeS3, artifact.TypeObject, artifact.TypeReference, artifact.TypeLink, artifact.TypeError}, a.StorageType) {
			m.artifacts.WithLabelValues(a.StorageType).Inc()
		}
		m.bytes.Add(float64(a.Stored))
	}
}
