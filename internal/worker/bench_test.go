package worker_test

import (
	"testing"

	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

// BenchmarkTask is one task without work, from its claim to its resolution,
// the queue in the same process.
func BenchmarkTask(b *testing.B) {
	s := newSite(b, queuetest.FakeOptions{NoHash: true}).start()
	for b.Loop() {
		s.resolved(s.fake.AddTask(shell("true")), 0)
	}
}
