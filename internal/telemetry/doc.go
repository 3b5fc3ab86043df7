// Package telemetry shows operators what a worker does, in three ways that know
// nothing of each other: lines for the log collectors of Taskcluster deployments
// (WORKER_METRICS), metrics for Prometheus, and traces for an OpenTelemetry
// collector. Each is there only if it was asked for.
//
// None of them can hold up a task: metrics are numbers in memory, spans are sent
// in the background and dropped when nobody takes them. Metrics have no task ids
// as labels, so the number of series does not grow.
package telemetry
