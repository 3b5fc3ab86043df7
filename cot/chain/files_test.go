package chain_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/chaintest"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/cot/chain/trust"
)

// files returns what is in a directory, by path with slashes.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
		found[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestFilesAreVerified looks at what is in the directory afterwards, with what
// was there before.
func TestFilesAreVerified(t *testing.T) {
	t.Parallel()
	text := "public/build/target.txt"
	both := upstream(want(chaintest.Build, "build", false, chaintest.Artifact), want(chaintest.Build, "build", true, text, "public/absent", "public/*/target.*"))
	for _, row := range []struct {
		scenario
		files  map[string]string
		states map[string]string
	}{
		{
			scenario: scenario{name: "good", made: both}, files: map[string]string{chaintest.Artifact: "a program", text: "a text"},
			states: map[string]string{chaintest.Artifact: "verified", text: "verified", "public/absent": "absent"},
		},
		{
			scenario: scenario{name: "wrong hash", made: both, signed: written(chaintest.Build, chaintest.Artifact, "x"), fails: []string{"artifact-hash BuildTask"}},
			files:    map[string]string{text: "a text"}, states: map[string]string{chaintest.Artifact: "refused", text: "verified", "public/absent": "absent"},
		},
		{
			scenario: scenario{name: "wrong hash of an optional one", made: both, signed: written(chaintest.Build, text, "x"), fails: []string{"artifact-hash-optional BuildTask"}},
			files:    map[string]string{chaintest.Artifact: "a program"}, states: map[string]string{chaintest.Artifact: "verified", text: "refused", "public/absent": "absent"},
		},
		{
			scenario: scenario{name: "optional one that nothing vouches for", made: both, signed: written(chaintest.Build, "public/build/target.late", "x")},
			files:    map[string]string{chaintest.Artifact: "a program", text: "a text"},
			states:   map[string]string{chaintest.Artifact: "verified", text: "verified", "public/absent": "absent", "public/build/target.late": "absent"},
		},
		{
			scenario: scenario{name: "too large", made: both, request: func(r *chain.Request) { r.Policy.Limits.ArtifactSize = 8 }, fails: []string{
				"artifact-hash BuildTask", "artifact-hash DecisionTask",
			}},
			files: map[string]string{text: "a text"}, states: map[string]string{chaintest.Artifact: "refused", text: "verified", "public/absent": "absent"},
		},
		{
			scenario: scenario{name: "too many", made: both, request: func(r *chain.Request) { r.Policy.Limits.Artifacts = 3 }, fails: []string{"upstream-paths SigningTask"}},
			files:    map[string]string{}, states: map[string]string{chaintest.Artifact: "undecided", text: "undecided", "public/absent": "undecided"},
		},
		{
			scenario: scenario{name: "certificate of nobody", made: all(both, signedBy(chaintest.Build, "stranger")), fails: []string{"certificate-signature BuildTask"}},
			files:    map[string]string{}, states: map[string]string{chaintest.Artifact: "undecided", text: "undecided", "public/absent": "undecided"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := row.scenario
			inner := s.request
			s.request = func(r *chain.Request) {
				for name, data := range map[string]string{
					chaintest.Build + "/" + chaintest.Artifact: "of another time", chaintest.Build + "/stale": "stale", "partial-1": "half", "mine": "mine",
				} {
					path := filepath.Join(r.Dir, filepath.FromSlash(name))
					if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if inner != nil {
					inner(r)
				}
			}
			r, request := play(t, s, chain.Ed25519, false)
			check(t, s, r)
			want := map[string]string{"mine": "mine"}
			for name, data := range row.files {
				want[chaintest.Build+"/"+name] = data
			}
			got := files(t, request.Dir)
			delete(got, "partial-1") // nobody's, unless it was in the way
			delete(got, chaintest.Decision+"/public/task-graph.json")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the directory differs (-want +got):\n%s", diff)
			}
			states := map[string]string{}
			for _, l := range r.Links {
				for _, a := range l.Artifacts {
					if l.TaskID == chaintest.Build {
						states[a.Name] = a.State
					}
				}
			}
			if diff := cmp.Diff(row.states, states); diff != "" {
				t.Errorf("the states differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTotalSize(t *testing.T) {
	t.Parallel()
	r, request := play(t, scenario{request: func(r *chain.Request) { r.Policy.Limits.TotalSize = 100 }}, chain.Ed25519, false)
	if r.Verdict != report.Refused {
		t.Errorf("%s", r)
	}
	if got := files(t, request.Dir); len(got) > 1 {
		t.Errorf("there are %v", got)
	}
}

// wide is a chain of 20 links, whose 18 builds have 200 artifacts together.
func wide(t testing.TB, size int) *world {
	w := chaintest.New(t, chain.Ed25519)
	var entries []any
	for i := range 18 {
		id := strings.Repeat(string(rune('a'+i)), 22)
		task := w.Add(id, "built-pool/builders", trust.GenericWorker, object{"mounts": []any{}})
		var paths []any
		for j := i; j < 200; j += 18 {
			name := fmt.Sprintf("public/%d.zip", j)
			task.Files[name] = make([]byte, size)
			paths = append(paths, name)
		}
		entries = append(entries, want(id, "build", false, paths...))
	}
	upstream(append(entries, want(chaintest.Image, "docker-image", false, chaintest.ImagePath))...)(w)
	w.Policy.Limits.Parallel = 8
	w.Publish()
	w.Sign()
	return w
}

// crowd is a Source at whose doors everybody waits until as many are there as
// may be.
type crowd struct {
	*chaintest.World
	mu      sync.Mutex
	waiting map[string]int
	most    map[string]int
	full    map[string]chan struct{}
}

// enter waits, the first time at each door, for the others. So it is certain
// that calls overlap, or else that a test fails by its deadline.
func (c *crowd) enter(ctx context.Context, door string) {
	const size = 8
	c.mu.Lock()
	if c.full[door] == nil {
		c.full[door] = make(chan struct{})
	}
	full := c.full[door]
	c.waiting[door]++
	c.most[door] = max(c.most[door], c.waiting[door])
	if c.waiting[door] == size {
		select {
		case <-full:
		default:
			close(full)
		}
	}
	c.mu.Unlock()
	select {
	case <-full:
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.waiting[door]--
	c.mu.Unlock()
}

func (c *crowd) Task(ctx context.Context, id string) (*chain.Task, error) {
	if id != chaintest.Signing {
		c.enter(ctx, "task")
	}
	return c.World.Task(ctx, id)
}

func (c *crowd) Artifact(ctx context.Context, id string, run int, name string) (io.ReadCloser, error) {
	door := "artifact"
	if strings.HasPrefix(name, "public/chain-of-trust") {
		door = "certificate"
	}
	c.enter(ctx, door)
	return c.World.Artifact(ctx, id, run, name)
}

// TestOverlap is a chain of 20 links with 200 artifacts: tasks, certificates and
// artifacts are each asked for eight at a time, and no more.
func TestOverlap(t *testing.T) {
	t.Parallel()
	w := wide(t, 100)
	c := &crowd{World: w, waiting: map[string]int{}, most: map[string]int{}, full: map[string]chan struct{}{}}
	request := w.Request(t.TempDir())
	request.Source = c
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := chain.Verify(ctx, request)
	if r.Verdict != report.Verified || len(r.Links) != 21 {
		t.Errorf("%d links\n%s", len(r.Links), r)
	}
	if diff := cmp.Diff(map[string]int{"task": 8, "certificate": 8, "artifact": 8}, c.most); diff != "" {
		t.Errorf("calls at a time differ (-want +got):\n%s", diff)
	}
	if got := files(t, request.Dir); len(got) != 202 {
		t.Errorf("there are %d files", len(got))
	}
}

// endless has artifacts of zeros that are not in memory.
type endless struct {
	*chaintest.World
	size int64
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func (e endless) Artifact(ctx context.Context, id string, run int, name string) (io.ReadCloser, error) {
	if strings.HasSuffix(name, ".zip") {
		return io.NopCloser(io.LimitReader(zeros{}, e.size)), nil
	}
	return e.World.Artifact(ctx, id, run, name)
}

// TestMemory downloads much more than it may keep in memory.
func TestMemory(t *testing.T) {
	w := wide(t, 1<<20)
	request := w.Request(t.TempDir())
	request.Source = endless{w, 1 << 20}
	for _, task := range w.Tasks {
		for name := range task.Files {
			if strings.HasSuffix(name, ".zip") {
				task.Files[name] = nil
			}
		}
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := chain.Verify(t.Context(), request)
	runtime.ReadMemStats(&after)
	if r.Verdict != report.Verified {
		t.Fatal(r)
	}
	if allocated := (after.TotalAlloc - before.TotalAlloc) >> 20; allocated > 64 {
		t.Errorf("verifying 200 MiB has allocated %d MiB", allocated)
	}
}

func BenchmarkVerify(b *testing.B) {
	w := wide(b, 1<<10)
	request := w.Request(b.TempDir())
	for b.Loop() {
		if r := chain.Verify(b.Context(), request); r.Verdict != report.Verified {
			b.Fatal(r)
		}
	}
}
