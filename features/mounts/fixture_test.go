package mounts

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/fetch"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/task/tasktest"
	"github.com/taskcluster/generic-worker/payload"
	"github.com/taskcluster/generic-worker/platform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const madeBy = "fN1SbArXTPSVFUUvaOlinQ"

// deployment answers what the feature asks, and serves content over HTTP.
type deployment struct {
	url string

	mu       sync.Mutex
	content  map[string][]byte // by path
	requests map[string]int    // for content
	refuse   error             // for artifacts
	purges   map[string]time.Time
	silent   bool // the purge-cache service
	since    []time.Time
	hung     chan struct{} // closed when a download hangs
	indexed  map[string]string
	asked    []string // artifacts
}

func newDeployment(t testing.TB) *deployment {
	t.Helper()
	d := &deployment{content: map[string][]byte{}, requests: map[string]int{}, indexed: map[string]string{}, hung: make(chan struct{})}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

func (d *deployment) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	content, ok := d.content[r.URL.Path]
	d.requests[r.URL.Path]++
	d.mu.Unlock()
	switch {
	case strings.HasPrefix(r.URL.Path, "/hang"):
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("begun"))
		_ = http.NewResponseController(w).Flush()
		close(d.hung)
		<-r.Context().Done()
	case strings.HasPrefix(r.URL.Path, "/503"):
		w.WriteHeader(http.StatusServiceUnavailable)
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	default:
		_, _ = w.Write(content)
	}
}

func (d *deployment) put(path string, content []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.content[path] = content
}

func (d *deployment) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *deployment) Artifact(_ context.Context, _ *task.Run, taskID, name string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, name)
	if d.refuse != nil {
		return "", d.refuse
	}
	return d.url + "/" + taskID + "/" + name, nil
}

func (d *deployment) Indexed(_ context.Context, _ *task.Run, namespace string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if taskID := d.indexed[namespace]; taskID != "" {
		return taskID, nil
	}
	return "", task.Errorf(task.Failed, "nothing is indexed as %s", namespace)
}

func (d *deployment) Purges(_ context.Context, since time.Time) (map[string]time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.since = append(d.since, since)
	if d.silent {
		return nil, task.Errorf(task.IntermittentTask, "no answer")
	}
	return d.purges, nil
}

// scene is a worker's feature and the store it has.
type scene struct {
	*deployment
	*Feature
	dir string
}

func newScene(t testing.TB, change ...func(*Config)) *scene {
	t.Helper()
	return newSceneAt(t, t.TempDir(), change...)
}

// newSceneAt has its store in a directory.
func newSceneAt(t testing.TB, dir string, change ...func(*Config)) *scene {
	t.Helper()
	s := &scene{deployment: newDeployment(t), dir: dir}
	config := Config{Absolute: true}
	dirs := cache.Dirs{Caches: filepath.Join(s.dir, "caches"), Downloads: filepath.Join(s.dir, "downloads")}
	store, err := cache.Open(t.Context(), cache.Options{Dirs: dirs, Capacity: 2, FreeBytes: platform.FreeBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	config.Store, config.Inputs = store, s.deployment
	config.Client = &fetch.Client{
		HTTP:   &http.Client{Transport: transport},
		Limits: fetch.Limits{Attempts: 2, FirstPause: time.Millisecond, MaxPause: time.Millisecond},
	}
	for _, c := range change {
		c(&config)
	}
	s.Feature = New(config)
	return s
}

// visitor is one run of a task.
type visitor struct {
	*scene
	run *task.Run
	dir string
}

func (s *scene) visitor(t testing.TB, mounts ...payload.Mount) *visitor {
	t.Helper()
	run := tasktest.New(t)
	run.TaskID, run.Definition.Dependencies = "KTBKfEgxR5GdfIIREQIvFQ", []string{madeBy}
	run.Payload.Mounts = mounts
	return &visitor{scene: s, run: run, dir: run.Session.Dir}
}

// mounted prepares the run and calls meanwhile, as the task would run; then it
// finishes.
func (v *visitor) mounted(t testing.TB, meanwhile func()) error {
	t.Helper()
	hooks, err := v.Attach(v.run)
	if err != nil {
		return err
	}
	if err = hooks.Prepare(t.Context()); err == nil && meanwhile != nil {
		v.run.LastExit = 0
		meanwhile()
	}
	if hooks.Finish == nil {
		return err
	}
	return task.First(err, hooks.Finish(t.Context(), task.ResolutionOf(err)))
}

func (v *visitor) text(t testing.TB) string { return tasktest.Logged(t, v.run) }

func (v *visitor) read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(v.dir, filepath.FromSlash(path)))
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func (v *visitor) write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(v.dir, filepath.FromSlash(path)), []byte(content), 0o600); err != nil {
		t.Error(err)
	}
}

// archive is a tar with files, by their names.
func archive(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func artifact(name string) *payload.Content { return &payload.Content{TaskID: madeBy, Artifact: name} }

func tree(dir string, c *payload.Content) payload.Mount {
	return payload.Mount{Directory: dir, Format: "tar", Content: c}
}

func writable(dir, name string) payload.Mount { return payload.Mount{Directory: dir, CacheName: name} }

// refused fails unless err resolves as wanted and its text matches.
func refused(t testing.TB, err error, so task.Resolution, pattern string) {
	t.Helper()
	if err == nil || task.ResolutionOf(err) != so || !regexp.MustCompile(pattern).MatchString(err.Error()) {
		t.Errorf("%v (%v), want %v and %q", err, task.ResolutionOf(err), so, pattern)
	}
}

// files are the paths of all that is not a directory below dir.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
