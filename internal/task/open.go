package task

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/queue"
)

// Opener opens runs; it holds what all runs of one worker share.
type Opener struct {
	Dir string // each run gets a directory of its own in here
	// Queue, HTTP, Object, RootURL and Lengths are for the run's artifact.Publisher.
	Queue    artifact.Queue
	HTTP     *http.Client
	Object   bool
	RootURL  string
	Lengths  *artifact.Lengths
	Operator *slog.Logger
	LogLimit int64 // bytes of a run's log, of which a longer one keeps its head and its end; 0 for none
	// Echo, if set, receives every run's log as it grows. Only for workers
	// that run one task at a time.
	Echo io.Writer
}

// Start makes Dir, empty: what is in it belonged to runs of a worker that was
// killed. It is called once, before the first Open.
func (o Opener) Start() error {
	err := os.RemoveAll(o.Dir)
	if err == nil {
		err = os.MkdirAll(o.Dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("cannot make the directory for runs: %w", err)
	}
	return nil
}

// Open makes the run's directory and its log. The run is usable for everything
// but publishing its log even when an error is returned.
func (o Opener) Open(claim func() queue.Claim) (*Run, error) {
	c := claim()
	r := &Run{
		LastExit: -1,
		TaskID:   c.TaskID, RunID: c.RunID, Definition: c.Definition,
		Dir:      filepath.Join(o.Dir, fmt.Sprintf("%s_%d", c.TaskID, c.RunID)),
		Operator: o.Operator.With("taskId", c.TaskID, "runId", c.RunID),
		Reserved: func(string) bool { return false },
	}
	r.Claim = r.masking(claim)
	r.Artifacts = &artifact.Publisher{
		Queue: o.Queue, Claim: r.Claim, HTTP: o.HTTP, Object: o.Object, RootURL: o.RootURL, Lengths: o.Lengths, SpoolDir: r.Dir, Log: r.Operator,
	}
	err := os.Mkdir(r.Dir, 0o700)
	if err == nil {
		r.Log, err = CreateLog(filepath.Join(r.Dir, "live_backing.log"))
	}
	if err != nil {
		r.Log = &Log{closed: true}
		return r, fmt.Errorf("cannot open the run: %w", err)
	}
	r.Log.hole.limit = o.LogLimit
	r.Claim()
	r.echoed = o.echo(r.Log)
	return r, nil
}

// masking returns claim, with the log masking the credentials of each claim
// before anybody gets them. Of a certificate only the signature is secret.
func (r *Run) masking(claim func() queue.Claim) func() queue.Claim {
	var mu sync.Mutex
	var known queue.Credentials
	return func() queue.Claim {
		c := claim()
		mu.Lock()
		defer mu.Unlock()
		if c.Credentials != known && r.Log != nil {
			known = c.Credentials
			var certificate struct{ Signature string }
			_ = json.Unmarshal([]byte(known.Certificate), &certificate) // permanent credentials have none
			r.Log.Mask(string(known.AccessToken), certificate.Signature)
		}
		return c
	}
}

// echo copies the log to o.Echo until it is closed; the channel tells when all
// of it was copied.
func (o Opener) echo(log *Log) <-chan struct{} {
	echoed := make(chan struct{})
	if o.Echo == nil {
		close(echoed)
		return echoed
	}
	go func() {
		defer close(echoed)
		follower, err := log.Follow(context.Background(), 0)
		if err != nil {
			o.Operator.Warn("cannot show the task's log", "error", err)
			return
		}
		defer follower.Close()
		if _, err := io.Copy(o.Echo, follower); err != nil {
			o.Operator.Warn("cannot show the task's log", "error", err)
		}
	}()
	return echoed
}

// Close removes what Open made; the log is closed before.
func (r *Run) Close() error {
	if r.echoed != nil {
		<-r.echoed
	}
	if err := os.RemoveAll(r.Dir); err != nil {
		return fmt.Errorf("cannot remove the run's directory: %w", err)
	}
	return nil
}
