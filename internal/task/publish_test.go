package task

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/queue"
)

// TestPublish: a disk without room is not the author's fault, and when time
// is up that is the reason.
func TestPublish(t *testing.T) {
	t.Parallel()
	stopped := Errorf(WorkerShutdown, "told to stop")
	for name, test := range map[string]struct {
		cause error
		want  Resolution
	}{
		"no spool": {nil, ResourceUnavailable},
		"aborted":  {stopped, WorkerShutdown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			run := &Run{Dir: t.TempDir(), Artifacts: &artifact.Publisher{
				Queue: &queue.Client{RootURL: "http://127.0.0.1:1", Credentials: func() queue.Credentials { return queue.Credentials{} }},
				Claim: func() queue.Claim { return queue.Claim{TaskID: "fN1SbArXTPSVFNUvaOlinQ"} },
			}}
			if test.cause == nil {
				run.Dir += "/missing"
			} else {
				cancel(test.cause)
			}
			_, err := run.Publish(ctx, artifact.File{Name: "public/figures.json"}, strings.NewReader("{}"))
			if ResolutionOf(err) != test.want || test.cause != nil && !errors.Is(err, test.cause) {
				t.Errorf("got %v: %v", ResolutionOf(err), err)
			}
		})
	}
}
