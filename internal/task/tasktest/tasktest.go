// Package tasktest makes runs for tests, such as a worker gives to a feature.
package tasktest

import (
	"bytes"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/platform"
)

// New makes a run that has no command behind it yet, a log, which is the file
// "log" in its directory, and an empty directory for its commands. The rest is
// for the test to fill in.
func New(t testing.TB) *task.Run {
	t.Helper()
	own := t.TempDir()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	log, err := task.CreateLog(filepath.Join(own, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close(); log.Close() })
	return &task.Run{
		LastExit: -1, Dir: own, Log: log, Operator: slog.New(slog.DiscardHandler),
		Session: &platform.Session{Dir: dir, Root: root},
	}
}

// Claimed is a run of New that is the next of a fake queue, to which its
// artifacts go.
func Claimed(t testing.TB, fake *queuetest.Fake) *task.Run {
	t.Helper()
	sender := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(sender.CloseIdleConnections)
	client := &queue.Client{RootURL: fake.URL, HTTP: sender}
	claims, err := client.Claim(t.Context(), queue.Worker{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: "w"}, 1)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %d tasks: %v", len(claims), err)
	}
	run := New(t)
	run.TaskID, run.RunID, run.Definition = claims[0].TaskID, claims[0].RunID, claims[0].Definition
	run.Claim = func() queue.Claim { return claims[0] }
	run.Artifacts = &artifact.Publisher{Queue: client, Claim: run.Claim, HTTP: sender, RootURL: fake.URL, SpoolDir: run.Dir}
	return run
}

// Logged is the text of the run's log so far.
func Logged(t testing.TB, run *task.Run) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(run.Dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Text is what was written to it. It can be read meanwhile.
type Text struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends.
func (x *Text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.Write(p)
}

// String is all that was written so far.
func (x *Text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.String()
}
