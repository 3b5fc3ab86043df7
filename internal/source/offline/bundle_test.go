package offline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/template"
	"github.com/taskcluster/generic-worker/internal/source/offline"
)

// shelf is a source and a forge that has one of everything, and knows of
// one thing each that there is none.
type shelf struct{}

func (shelf) say(key, have, text string) ([]byte, error) {
	switch key {
	case have:
		return []byte(text), nil
	case "absent":
		return nil, fmt.Errorf("%s %w", key, chain.ErrNotFound)
	}
	return nil, errors.New("cannot reach the shelf")
}

func (s shelf) Task(_ context.Context, taskID string) (*chain.Task, error) {
	text, err := s.say(taskID, "task", "{ \"b\": \"<\", \"a\":1.0}")
	if err != nil {
		return nil, err
	}
	return &chain.Task{Definition: text, Runs: []chain.Run{{State: "completed"}}}, nil
}

func (s shelf) Artifact(_ context.Context, _ string, _ int, name string) (io.ReadCloser, error) {
	text, err := s.say(name, "public/log", strings.Repeat("line\n", 10_000))
	return io.NopCloser(bytes.NewReader(text)), err
}

func (s shelf) Artifacts(_ context.Context, taskID string, _ int) ([]string, error) {
	_, err := s.say(taskID, "task", "")
	return []string{"public/log"}, err
}

func (s shelf) File(_ context.Context, _ template.Commit, path string) ([]byte, error) {
	return s.say(path, ".taskcluster.yml", "version: 1")
}

func (s shelf) Pushes(_ context.Context, at template.Commit) ([]byte, error) {
	return s.say(at.Revision, revision, "pushes")
}

func (s shelf) Fact(_ context.Context, about template.Fact) ([]byte, error) {
	return s.say(about.Name, "v1", "release")
}

func (s shelf) Landed(_ context.Context, _, revision string) (bool, error) {
	_, err := s.say(revision, "there", "")
	return err == nil, err
}

// everything is what can be asked, by name; each has one variant that is
// there, one that is absent, and one that cannot be reached.
type everything interface {
	chain.Source
	template.Forge
	Landed(ctx context.Context, repository, revision string) (bool, error)
}

func askAll(ctx context.Context, from everything) map[string]string {
	said := map[string]string{}
	note := func(key string, text any, err error) {
		switch {
		case errors.Is(err, chain.ErrNotFound):
			said[key] = "absent"
		case err != nil:
			said[key] = "unknown"
		default:
			said[key] = fmt.Sprintf("%.60s", text)
		}
	}
	for _, variant := range []string{"", "absent", "unreached"} {
		or := func(there string) string {
			if variant == "" {
				return there
			}
			return variant
		}
		task, err := from.Task(ctx, or("task"))
		text := []byte(nil)
		if err == nil {
			text = slices.Concat(task.Definition, []byte(task.Runs[0].State))
		}
		note("task "+variant, text, err)
		names, err := from.Artifacts(ctx, or("task"), 0)
		note("artifacts "+variant, strings.Join(names, ","), err)
		content, err := from.Artifact(ctx, "task", 0, or("public/log"))
		if err == nil {
			whole, readErr := io.ReadAll(content)
			err = errors.Join(readErr, content.Close())
			text = whole
		}
		note("artifact "+variant, text, err)
		text, err = from.File(ctx, template.Commit{Repository: orchard, Revision: revision}, or(".taskcluster.yml"))
		note("file "+variant, text, err)
		text, err = from.Pushes(ctx, template.Commit{Repository: orchard, Revision: or(revision)})
		note("pushes "+variant, text, err)
		text, err = from.Fact(ctx, template.Fact{Repository: apple, Kind: template.AboutRelease, Name: or("v1")})
		note("fact "+variant, text, err)
		landed, err := from.Landed(ctx, "https://hg.example.com/x", or("there"))
		note("landed "+variant, fmt.Sprint(landed), err)
	}
	return said
}

func record(t *testing.T) (*offline.Recorder, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bundle")
	r, err := offline.NewRecorder(dir, offline.Answers{Source: shelf{}, Forge: shelf{}, Landed: shelf{}.Landed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Discard(); err != nil {
			t.Error(err)
		}
	})
	return r, dir
}

func open(t *testing.T, dir string) *offline.Bundle {
	t.Helper()
	b, err := offline.OpenBundle(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestBundleAnswersAlike shows that a recorder, and the bundle it makes, say
// what was said to it.
func TestBundleAnswersAlike(t *testing.T) {
	t.Parallel()
	r, dir := record(t)
	want := askAll(t.Context(), shelf{})
	if len(want) != 21 || want["task "] != `{ "b": "<", "a":1.0}completed` {
		t.Fatal(want)
	}
	if diff := cmp.Diff(want, askAll(t.Context(), r)); diff != "" {
		t.Error("recorder:", diff)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the bundle is there before it is complete")
	}
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	b := open(t, dir)
	// What landed is never said to be absent, so the recorder notes nothing.
	want["landed absent"] = "unknown"
	if diff := cmp.Diff(want, askAll(t.Context(), b)); diff != "" {
		t.Error("bundle:", diff)
	}
	why := errors.New("enough")
	stopped, stop := context.WithCancelCause(t.Context())
	stop(why)
	if _, err := b.Task(stopped, "task"); !errors.Is(err, why) {
		t.Error(err)
	}
}

func TestRecordsTogether(t *testing.T) {
	t.Parallel()
	r, dir := record(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { askAll(t.Context(), r) })
	}
	all.Wait()
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	if got := askAll(t.Context(), open(t, dir)); got["artifact "] == "unknown" {
		t.Error(got)
	}
	objects, err := os.ReadDir(filepath.Join(dir, "objects"))
	if err != nil || len(objects) != 8 {
		t.Error(len(objects), err)
	}
}

// TestUnreadArtifact shows that what nobody read to its end is not in the
// bundle.
func TestUnreadArtifact(t *testing.T) {
	t.Parallel()
	r, dir := record(t)
	content, err := r.Artifact(t.Context(), "task", 0, "public/log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := content.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(content.Close(), r.Finish()); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir).Artifact(t.Context(), "task", 0, "public/log"); err == nil || !strings.Contains(err.Error(), "cannot find artifact task 0 public/log") {
		t.Error(err)
	}
}

func TestRecorderRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := offline.NewRecorder(dir, offline.Answers{}); err == nil || !strings.Contains(err.Error(), "there is something already") {
		t.Error(err)
	}
	if _, err := offline.NewRecorder(filepath.Join(dir, "absent", "bundle"), offline.Answers{}); err == nil {
		t.Error("made a bundle in no directory")
	}
	r, bundle := record(t)
	if _, err := r.Task(t.Context(), "task"); err != nil {
		t.Fatal(err)
	}
	if err := r.Discard(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(bundle)); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
	if _, err := r.Task(t.Context(), "task"); err == nil || !strings.Contains(err.Error(), "cannot write task task into the bundle") {
		t.Error(err)
	}
	if err := r.Finish(); err == nil {
		t.Error("finished what was discarded")
	}
	silent, err := offline.NewRecorder(filepath.Join(dir, "silent"), offline.Answers{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := silent.Landed(t.Context(), "x", "y"); err == nil {
		t.Error("nobody said what landed")
	}
	if err := silent.Discard(); err != nil {
		t.Error(err)
	}
}

// TestBadBundles shows what a damaged bundle says.
func TestBadBundles(t *testing.T) {
	t.Parallel()
	r, dir := record(t)
	askAll(t.Context(), r)
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	objects, err := filepath.Glob(filepath.Join(dir, "objects", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		text, err := os.ReadFile(object)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(object, append(text, ' '), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := open(t, dir)
	for key, said := range askAll(t.Context(), b) {
		if said != "unknown" && said != "absent" {
			t.Errorf("%s: %s", key, said)
		}
	}
	if _, err := b.Task(t.Context(), "task"); err == nil || !strings.Contains(err.Error(), "its content has changed") {
		t.Error(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "objects")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Task(t.Context(), "task"); err == nil || errors.Is(err, chain.ErrNotFound) {
		t.Error(err)
	}
	for text, reason := range map[string]string{
		`{"version":2}`: "it has version 2",
		`{`:             "cannot read its manifest",
		`{"version":1,"objects":{"task x":"../../secret"}}`: "which is no hash",
		"": "cannot read its manifest",
	} {
		if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := offline.OpenBundle(dir); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "manifest.json")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dir, dir + "x"} {
		if _, err := offline.OpenBundle(dir); err == nil {
			t.Errorf("opened %s", dir)
		}
	}
}

// FuzzBundle opens bundles with any manifest: nothing may be read that is not
// in the bundle.
func FuzzBundle(f *testing.F) {
	f.Add([]byte(`{"version":1,"objects":{"task x":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"absent":{"task y":true}}`))
	f.Add([]byte(`{"version":1,"objects":{"task x":"../secret"}}`))
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(`{"definition":{}}`), 0o644); err != nil {
		f.Fatal(err)
	}
	bundle := filepath.Join(dir, "bundle")
	if err := os.MkdirAll(filepath.Join(bundle, "objects"), 0o755); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(bundle, "manifest.json"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		b, err := offline.OpenBundle(bundle)
		if err != nil {
			return
		}
		defer b.Close()
		if task, err := b.Task(t.Context(), "x"); err == nil {
			t.Errorf("read %+v", task)
		}
	})
}
