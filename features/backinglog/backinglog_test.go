package backinglog

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/task/tasktest"
	"github.com/taskcluster/generic-worker/payload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const name = "public/logs/live_backing.log"

// newRun claims a run of a fake queue.
func newRun(t *testing.T) (*task.Run, *queuetest.Fake) {
	t.Helper()
	fake := queuetest.StartFake(t, queuetest.FakeOptions{KeepBodies: 64 << 20})
	fake.AddTask(map[string]any{})
	run := tasktest.Claimed(t, fake)
	run.Payload = payload.Payload{
		Features: payload.Features{BackingLog: true},
		Logs:     payload.Logs{Live: "public/logs/live.log", Backing: name},
	}
	return run, fake
}

func attach(t *testing.T, run *task.Run) features.Hooks {
	t.Helper()
	hooks, err := New().Attach(run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if hooks.Close == nil {
			return
		}
		if err := hooks.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(run.Dir, spoolName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the compressed copy is still there: %v", err)
		}
	})
	return hooks
}

// published returns the artifact and what its one gzip member decodes to.
func published(t *testing.T, fake *queuetest.Fake, run *task.Run) (queuetest.Stored, string) {
	t.Helper()
	view, _ := fake.Run(run.TaskID, run.RunID)
	stored := view.Artifact(name)
	body := bytes.NewReader(stored.Body)
	zip, err := gzip.NewReader(body)
	if err != nil {
		t.Fatalf("%v has no gzip content: %v", stored.Name, err)
	}
	zip.Multistream(false)
	text, err := io.ReadAll(zip)
	if err != nil || body.Len() > 0 {
		t.Fatalf("decoding ended with %v and %d bytes left", err, body.Len())
	}
	if bad := fake.Violations(); len(bad) > 0 {
		t.Errorf("violations: %q", bad)
	}
	return stored, string(text)
}

func printLines(t *testing.T, log *task.Log, lines int) string {
	t.Helper()
	var all strings.Builder
	for i := range lines {
		line := fmt.Sprintf("%d %x\n", i, rand.Uint64())
		all.WriteString(line)
		if _, err := io.WriteString(log, line); err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

func TestTheWholeLogIsPublished(t *testing.T) {
	t.Parallel()
	for how, row := range map[string]struct {
		lines           int
		prepared, abort bool
	}{
		"a long log":                    {lines: 100_000, prepared: true},
		"a line":                        {lines: 1, prepared: true},
		"nothing":                       {prepared: true},
		"an aborted task":               {lines: 100_000, prepared: true, abort: true},
		"a task that was not prepared":  {lines: 1000},
		"nothing that was not prepared": {},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			run, fake := newRun(t)
			hooks := attach(t, run)
			if len(hooks.Reserves) != 1 || hooks.Reserves[0] != name {
				t.Errorf("reserved is %q", hooks.Reserves)
			}
			stage, abort := context.WithCancel(t.Context())
			defer abort()
			if row.prepared {
				if err := hooks.Prepare(stage); err != nil {
					t.Fatal(err)
				}
			}
			if row.abort {
				abort()
			}
			want := printLines(t, run.Log, row.lines)
			if err := run.Log.Close(); err != nil {
				t.Fatal(err)
			}
			if err := hooks.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
			stored, got := published(t, fake, run)
			if got != want {
				t.Errorf("%d bytes were published of %d", len(got), len(want))
			}
			if stored.StorageType != "s3" || stored.ContentType != "text/plain; charset=utf-8" || stored.ContentEncoding != "gzip" {
				t.Errorf("published as %+v", stored)
			}
			if expires := time.Time(run.Definition.Expires); !stored.Expires.Equal(expires) {
				t.Errorf("it expires %v, the task %v", stored.Expires, expires)
			}
			sum := sha256.Sum256([]byte(want))
			record := run.Artifacts.Records()[0]
			if record.SHA256 != hex.EncodeToString(sum[:]) || record.Bytes != int64(len(want)) {
				t.Errorf("recorded as %+v", record)
			}
		})
	}
}

func TestNoBackingLog(t *testing.T) {
	t.Parallel()
	hooks, err := New().Attach(&task.Run{})
	if err != nil || hooks.Seal != nil || hooks.Prepare != nil || len(hooks.Reserves) > 0 {
		t.Errorf("a task that did not ask got %+v, %v", hooks, err)
	}
	if New().Name() != "backingLog" {
		t.Error("the payload does not know the name")
	}
}

func TestRefusedLogIsNotTheTasksFault(t *testing.T) {
	t.Parallel()
	for _, fault := range []queuetest.Fault{
		{Endpoint: "createArtifact", Kind: queuetest.FaultStatus, Status: 400},
		{Endpoint: "createArtifact", Kind: queuetest.FaultStatus, Status: 409},
		{Endpoint: "putData", Kind: queuetest.FaultStatus, Status: 403},
	} {
		t.Run(fmt.Sprint(fault.Endpoint, fault.Status), func(t *testing.T) {
			t.Parallel()
			run, fake := newRun(t)
			fake.Inject(fault)
			hooks := attach(t, run)
			printLines(t, run.Log, 10)
			if err := errors.Join(hooks.Prepare(t.Context()), run.Log.Close()); err != nil {
				t.Fatal(err)
			}
			err := hooks.Seal(t.Context())
			if task.ResolutionOf(err) != task.ResourceUnavailable || !strings.Contains(err.Error(), "cannot publish the task's log "+name) {
				t.Errorf("Seal returned %v", err)
			}
		})
	}
}

func TestSealEndsWithItsContext(t *testing.T) {
	t.Parallel()
	run, _ := newRun(t)
	hooks := attach(t, run)
	if err := hooks.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	shutdown := task.Errorf(task.WorkerShutdown, "the machine goes away")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(shutdown)
	// The log is still open: without its context Seal would wait for ever.
	if err := hooks.Seal(ctx); !errors.Is(err, shutdown) {
		t.Errorf("Seal returned %v", err)
	}
}

func TestCloseWithoutSealEndsTheCopy(t *testing.T) {
	t.Parallel()
	run, fake := newRun(t)
	hooks := attach(t, run)
	if err := hooks.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	printLines(t, run.Log, 10)
	if err := hooks.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if view, _ := fake.Run(run.TaskID, run.RunID); len(view.Artifacts) > 0 {
		t.Errorf("%v were published", view.Artifacts)
	}
}

func TestLogThatSomebodyCutIsPublishedAsFarAsItGoes(t *testing.T) {
	t.Parallel()
	run, fake := newRun(t)
	hooks := attach(t, run)
	want := printLines(t, run.Log, 100)
	if err := errors.Join(os.Truncate(filepath.Join(run.Dir, "log"), 50), run.Log.Close()); err != nil {
		t.Fatal(err)
	}
	err := hooks.Seal(t.Context())
	if task.ResolutionOf(err) != task.ResourceUnavailable || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Seal returned %v", err)
	}
	if _, got := published(t, fake, run); got != want[:50] {
		t.Errorf("published is %q", got)
	}
}

func TestLogThatTheTaskDeletedIsPublished(t *testing.T) {
	t.Parallel()
	run, fake := newRun(t)
	hooks := attach(t, run)
	if err := hooks.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(run.Dir); err != nil {
		t.Fatal(err)
	}
	want := printLines(t, run.Log, 100)
	if err := errors.Join(os.RemoveAll(run.Dir), run.Log.Close(), hooks.Seal(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, got := published(t, fake, run); got != want {
		t.Errorf("%d bytes were published of %d", len(got), len(want))
	}
}

// lines is a log as tasks write it.
func lines(size int) []byte {
	var text bytes.Buffer
	words := strings.Fields("compiling linking src/core/engine.rs warning: unused variable ok FAILED test_case finished in seconds [info] /usr/lib")
	random := rand.New(rand.NewPCG(1, 2))
	for i := 0; text.Len() < size; i++ {
		fmt.Fprintf(&text, "[%08d] ", i)
		for range 12 {
			text.WriteString(words[random.IntN(len(words))])
			text.WriteByte(' ')
		}
		text.WriteByte('\n')
	}
	return text.Bytes()[:size]
}

func BenchmarkCompress(b *testing.B) {
	text := lines(64 << 20)
	encoders := newEncoders()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var stored int
	for b.Loop() {
		var out counter
		if _, err := encoders.compress(&out, bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
		stored = int(out)
	}
	b.ReportMetric(float64(stored)/float64(len(text)), "ratio")
}

// BenchmarkLog measures what a task sees that prints as fast as it can, until
// its log is compressed.
func BenchmarkLog(b *testing.B) {
	text := lines(64 << 20)
	encoders := newEncoders()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		log, err := task.CreateLog(filepath.Join(b.TempDir(), "log"))
		if err != nil {
			b.Fatal(err)
		}
		follow, err := log.Follow(b.Context(), 0)
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan error)
		go func() {
			_, err := encoders.compress(io.Discard, follow)
			done <- err
		}()
		for at := 0; at < len(text); at += 64 << 10 {
			log.Write(text[at:min(at+64<<10, len(text))])
		}
		log.Close()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		follow.Close()
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
