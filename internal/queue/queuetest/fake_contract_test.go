package queuetest_test

import (
	"testing"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

func TestFakeKeepsTheContract(t *testing.T) {
	t.Parallel()
	queuetest.TestLaxQueue(t, func(t *testing.T, s queuetest.Settings) queuetest.Queue {
		f := queuetest.StartFake(t, queuetest.FakeOptions{Lease: s.Lease, LongPoll: s.LongPoll})
		return &queue.Client{RootURL: f.URL}
	})
}
