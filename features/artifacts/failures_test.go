package artifacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/task/tasktest"
	"github.com/taskcluster/generic-worker/payload"
)

// The table tells how often an upload was begun, and what it took.
func TestSummaryOfRetries(t *testing.T) {
	t.Parallel()
	s := newStage(t, queuetest.FakeOptions{})
	s.write(t, "build.log", strings.Repeat("text\n", 100))
	s.fake.Inject(queuetest.Fault{Endpoint: "putData", Kind: queuetest.FaultDrop, Max: 1})
	if err := s.finish(t, Config{}, compressed(file("build.log", "public/build"))); err != nil {
		t.Fatal(err)
	}
	r := s.run.Artifacts.Records()[0]
	row := fmt.Sprintf(`public/build  500    %d      %.12s  [0-9.]+ +2\n`, r.Stored, r.SHA256)
	if log := tasktest.Logged(t, s.run); !regexp.MustCompile(row).MatchString(log) || r.Stored >= 500 {
		t.Errorf("no row %s in\n%s", row, log)
	}
}

// What each failure means for the task, and what the queue is told.
func TestFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err    error
		so     task.Resolution
		reason string
	}{
		"missing":     {&artifact.FileError{Reason: artifact.Missing, Err: errors.New("x")}, task.Failed, "file-missing-on-worker"},
		"unreadable":  {&artifact.FileError{Reason: artifact.Unreadable, Err: errors.New("x")}, task.Failed, "file-not-readable-on-worker"},
		"changed":     {fmt.Errorf("x: %w", artifact.ErrChanged), task.Failed, "invalid-resource-on-worker"},
		"no room":     {fmt.Errorf("x: %w", artifact.ErrSpool), task.ResourceUnavailable, "invalid-resource-on-worker"},
		"no spool":    {fmt.Errorf("x: %w: %w", artifact.ErrSpool, fs.ErrNotExist), task.ResourceUnavailable, "invalid-resource-on-worker"},
		"header":      {fmt.Errorf("x: %w", artifact.ErrContentType), task.MalformedPayload, ""},
		"conflict":    {fmt.Errorf("x: %w", artifact.ErrConflict), task.MalformedPayload, ""},
		"storage":     {&artifact.StorageError{Status: 403}, task.ResourceUnavailable, ""},
		"unavailable": {fmt.Errorf("x: %w", artifact.ErrUnavailable), task.ResourceUnavailable, ""},
		"unheard of":  {errors.New("x"), task.InternalError, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, queuetest.FakeOptions{})
			p := &publication{run: s.run}
			expires := time.Time(s.run.Definition.Expires).Add(-time.Minute)
			i := &item{name: "public/a", found: test.err, from: payload.Artifact{Expires: expires}}
			p.one(t.Context(), i)
			if so := task.ResolutionOf(i.fatal); so != test.so || i.fatal == nil {
				t.Errorf("resolved %v: %v", so, i.fatal)
			}
			view, _ := s.fake.Run(s.run.TaskID, s.run.RunID)
			var told struct{ Reason, Expires string }
			if text := view.Artifact("public/a").Request; text != nil {
				if err := json.Unmarshal(text, &told); err != nil {
					t.Fatal(err)
				}
			}
			if told.Reason != test.reason || told.Reason != "" && told.Expires != stamp(expires) {
				t.Errorf("told the queue %+v", told)
			}
		})
	}
}

// A panic costs one artifact, and is no success.
func TestPanic(t *testing.T) {
	t.Parallel()
	s := newStage(t, queuetest.FakeOptions{})
	s.write(t, "a", "A")
	s.run.Artifacts = nil
	if err := s.finish(t, Config{}, optional(file("a", "public/a"))); task.ResolutionOf(err) != task.InternalError {
		t.Errorf("got %v", err)
	}
	if log := tasktest.Logged(t, s.run); !strings.Contains(log, "] a              artifacts: internal error") {
		t.Errorf("the log does not list it:\n%s", log)
	}
}

// Each refusal of the queue, of the first, a middle and the last artifact,
// leaves the others published.
func TestRefusals(t *testing.T) {
	t.Parallel()
	resolutions := map[int]task.Resolution{
		400: task.Failed, 403: task.Failed, 406: task.Failed, 413: task.Failed,
		409: task.MalformedPayload, 503: task.ResourceUnavailable,
	}
	for status, want := range resolutions {
		for skip := range 3 {
			t.Run(fmt.Sprint(status, " after ", skip), func(t *testing.T) {
				t.Parallel()
				s := newStage(t, queuetest.FakeOptions{})
				s.run.Artifacts.Queue.(*queue.Client).Limits.Elapsed = time.Second
				for i := range 3 {
					s.write(t, fmt.Sprint("out/", i), fmt.Sprint(i))
				}
				limit := 1
				if status == http.StatusServiceUnavailable {
					limit = 0 // that is retried
					skip = 0
				}
				s.fake.Inject(queuetest.Fault{Endpoint: "createArtifact", Kind: queuetest.FaultStatus, Status: status, Skip: skip, Max: limit})
				err := s.finish(t, Config{}, directory("out", "public"))
				if so := task.ResolutionOf(err); so != want {
					t.Errorf("resolved %v: %v", so, err)
				}
				if got := s.kept(t); limit == 1 && len(got) != 2 {
					t.Errorf("kept %v", got)
				}
				if log := tasktest.Logged(t, s.run); !strings.Contains(log, fmt.Sprint(status)) && status != http.StatusServiceUnavailable {
					t.Errorf("the log lacks the status:\n%s", log)
				}
			})
		}
	}
}

func TestStorageRefusal(t *testing.T) {
	t.Parallel()
	for _, lenient := range []bool{false, true} {
		s := newStage(t, queuetest.FakeOptions{})
		s.write(t, "a", "A")
		s.fake.Inject(queuetest.Fault{Endpoint: "putData", Kind: queuetest.FaultStatus, Status: http.StatusForbidden})
		a := file("a", "public/a")
		a.Optional = lenient
		want := task.ResourceUnavailable
		if lenient {
			want = task.Completed
		}
		if err := s.finish(t, Config{}, a); task.ResolutionOf(err) != want {
			t.Errorf("optional %v: got %v", lenient, err)
		}
	}
}

func TestCutUploads(t *testing.T) {
	t.Parallel()
	s := newStage(t, queuetest.FakeOptions{})
	var want []string
	for i := range 20 {
		s.write(t, fmt.Sprintf("out/%02d", i), strings.Repeat("some content\n", 10_000*(i%4)))
		want = append(want, fmt.Sprintf("public/%02d", i))
	}
	s.fake.Inject(
		queuetest.Fault{Endpoint: "putData", Kind: queuetest.FaultCut, Bytes: 1, Every: 5, Max: 5},
		queuetest.Fault{Endpoint: "putData", Kind: queuetest.FaultDrop, Every: 3, Max: 5},
		queuetest.Fault{Endpoint: "createArtifact", Kind: queuetest.FaultDrop, Every: 3, Max: 5},
	)
	if err := s.finish(t, Config{}, directory("out", "public")); err != nil {
		t.Fatal(err)
	}
	run, _ := s.fake.Run(s.run.TaskID, s.run.RunID)
	records := s.run.Artifacts.Records()
	var names []string
	for _, r := range records {
		names = append(names, r.Name)
		if stored := run.Artifact(r.Name); stored.SHA256 != r.SHA256 || stored.Bytes != r.Stored {
			t.Errorf("recorded %+v, stored %d bytes %s", r, stored.Bytes, stored.SHA256)
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("published %v", names)
	}
	s.kept(t)
}

// What there was no time for is not published, and not forgotten.
func TestAbort(t *testing.T) {
	t.Parallel()
	reason := task.Errorf(task.ResourceUnavailable, "there was no time")
	for title, artifacts := range map[string][]payload.Artifact{
		"a file":      {file("a", "public/a")},
		"optional":    {optional(file("a", "public/a"))},
		"a directory": {directory("out", "public")},
		"a glob":      {glob("out/**", 1)},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(reason)
			s := newStage(t, queuetest.FakeOptions{})
			s.write(t, "a", "A")
			s.write(t, "out/a", "A")
			if err := s.finishUnder(ctx, t, Config{}, artifacts...); !errors.Is(err, reason) {
				t.Errorf("got %v", err)
			}
			if got := s.kept(t); len(got) != 0 {
				t.Errorf("kept %v", got)
			}
			if log := tasktest.Logged(t, s.run); artifacts[0].Type == payload.File && !strings.Contains(log, "] a              there was no time") {
				t.Errorf("the log does not list it:\n%s", log)
			}
		})
	}
}
