package local_test

import (
	"testing"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

var (
	_ queuetest.Queue = (*local.Queue)(nil)
	_ queuetest.Queue = (*queue.Client)(nil)
)

func TestContractInProcess(t *testing.T) {
	t.Parallel()
	queuetest.TestQueue(t, func(t *testing.T, s queuetest.Settings) queuetest.Queue {
		return serve(t, local.Options{ClaimTimeout: s.Lease, LongPoll: s.LongPoll}).Queue
	})
}

func TestContractOverHTTP(t *testing.T) {
	t.Parallel()
	queuetest.TestQueue(t, func(t *testing.T, s queuetest.Settings) queuetest.Queue {
		served := serve(t, local.Options{ClaimTimeout: s.Lease, LongPoll: s.LongPoll})
		return &queue.Client{RootURL: served.url, Credentials: served.Credentials}
	})
}
