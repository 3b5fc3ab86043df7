// Package queuetest states what a Taskcluster queue promises, as a test suite
// that any implementation can be run against.
package queuetest
