// Package taskdir opens what a task left in its directory, for publishing.
//
// Nothing a task does to its directory makes it read anything outside, wait
// for a named pipe or open a device.
package taskdir
