package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

// crowd is a queue, a server of what its tasks mount, and workers, one at a time,
// that have their directories in dir.
type crowd struct {
	*queuetest.Fake
	t      *testing.T
	dir    string
	url    string        // of the server: tree.tar, file, slow.tar, which comes in pieces, and hang
	mark   string        // in the environment of all commands
	report string        // a file to which tasks write what must not be
	hung   chan struct{} // gets something when a task wants what never comes
	logs   int
	worker *exec.Cmd
	ended  chan struct{}
}

// treeFiles is how many files tree.tar has beside the list of their sums.
const treeFiles = 60

func newCrowd(t *testing.T, settings string) *crowd {
	t.Helper()
	c := &crowd{Fake: queuetest.StartFake(t, queuetest.FakeOptions{LongPoll: time.Second, KeepBodies: 1 << 20}), t: t, dir: t.TempDir(), mark: rand.Text(), hung: make(chan struct{}, 100)}
	c.report = filepath.Join(c.dir, "report")
	pool, kind, _ := strings.Cut(queuetest.TaskQueueID, "/")
	write(t, c.dir+"/worker.yml", fmt.Sprintf("rootURL: %s\nclientId: worker\naccessToken: x\nprovisionerId: %s\nworkerType: %s\nworkerGroup: g\nworkerId: w\n"+
		"requiredDiskSpaceMegabytes: 0\ngracePeriodSecs: 1\ncancelCheckSecs: 1\n%s", c.URL, pool, kind, settings))
	content := treeOf(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow.tar":
			drip(w, r, content)
		case "/hang":
			_, _ = w.Write(content[:1000])
			_ = http.NewResponseController(w).Flush()
			c.hung <- struct{}{}
			<-r.Context().Done()
		default:
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	c.url = server.URL
	t.Cleanup(func() { c.end(syscall.SIGKILL) })
	return c
}

// treeOf makes an archive of files of random bytes and the list of their sums.
func treeOf(t *testing.T) []byte {
	t.Helper()
	var archive, sums bytes.Buffer
	to := tar.NewWriter(&archive)
	add := func(name string, content []byte) {
		err := to.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg})
		if err == nil {
			_, err = to.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range treeFiles {
		content := make([]byte, 100<<10)
		_, _ = rand.Read(content) // never fails
		name := fmt.Sprintf("d%d/%d", i%5, i)
		add(name, content)
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), name)
	}
	add("SUMS", sums.Bytes())
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

// drip sends a piece every few milliseconds.
func drip(w http.ResponseWriter, r *http.Request, content []byte) {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for len(content) > 0 && r.Context().Err() == nil {
		n := min(len(content), 64<<10)
		if _, err := w.Write(content[:n]); err != nil {
			return
		}
		content = content[n:]
		_ = http.NewResponseController(w).Flush()
		<-ticker.C
	}
}

// start starts a worker; it ends with end.
func (c *crowd) start() {
	c.t.Helper()
	c.logs++
	out, err := os.Create(fmt.Sprintf("%s/worker%d.log", c.dir, c.logs))
	if err != nil {
		c.t.Fatal(err)
	}
	defer out.Close()
	worker := exec.CommandContext(context.WithoutCancel(c.t.Context()), "generic-worker", "run", "--config", "worker.yml")
	worker.Dir, worker.Stdout, worker.Stderr = c.dir, out, out
	worker.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "TMPDIR=" + c.dir, "GORACE=atexit_sleep_ms=0"}
	if err := worker.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.worker, c.ended = worker, make(chan struct{})
	go func(ended chan struct{}) {
		defer close(ended)
		_ = worker.Wait() // its exit codes are other tests' matter
	}(c.ended)
}

// end ends the worker by a signal, if there is one.
func (c *crowd) end(by syscall.Signal) {
	if c.worker == nil {
		return
	}
	_ = c.worker.Process.Signal(by) // it may have ended
	select {
	case <-c.ended:
		c.worker = nil
	case <-time.After(patience):
		c.t.Errorf("the worker does not end after %v", by)
	}
}

// add creates a task that runs a script with its mounts and returns its id.
func (c *crowd) add(script, mounts string, change ...func(payload map[string]any)) string {
	payload := map[string]any{
		"command": [][]string{{"sh", "-c", script}}, "maxRunTime": 60, "mounts": c.mounts(mounts),
		"env": map[string]string{"MARK": c.mark, "REPORT": c.report},
	}
	for _, edit := range change {
		edit(payload)
	}
	return c.AddTask(payload, func(definition map[string]any) { definition["scopes"] = []string{"generic-worker:cache:*"} })
}

// mounts makes a list of mounts of words: cache, tree, slow, file and those that hang.
func (c *crowd) mounts(words string) (list []any) {
	for word := range strings.FieldsSeq(words) {
		list = append(list, map[string]any{
			"cache":     map[string]any{"directory": "c", "cacheName": "crowded"},
			"tree":      map[string]any{"directory": "t", "format": "tar", "content": map[string]string{"url": c.url + "/tree.tar"}},
			"slow":      map[string]any{"directory": "t", "format": "tar", "content": map[string]string{"url": c.url + "/slow.tar"}},
			"hangs":     map[string]any{"file": "h", "content": map[string]string{"url": c.url + "/hang"}},
			"hangstree": map[string]any{"directory": "h", "format": "tar", "content": map[string]string{"url": c.url + "/hang"}},
			"file":      map[string]any{"file": "f/tree.tar", "content": map[string]string{"url": c.url + "/file"}},
		}[word])
	}
	return list
}

// resolved waits until a run is resolved.
func (c *crowd) resolved(taskID string, runID int) queuetest.Run {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	run, err := c.WaitResolved(ctx, taskID, runID)
	if err != nil {
		log, _ := os.ReadFile(fmt.Sprintf("%s/worker%d.log", c.dir, c.logs))
		c.t.Fatalf("run %d of %s is not resolved: %v\n%s", runID, taskID, err, log)
	}
	return run
}

// reported fails the test if a task found something wrong.
func (c *crowd) reported() {
	c.t.Helper()
	if text, err := os.ReadFile(c.report); !errors.Is(err, fs.ErrNotExist) {
		c.t.Errorf("tasks report (%v):\n%s", err, text)
	}
}

// survivors are the processes of all tasks.
func (c *crowd) survivors() (found []string) {
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, environ := range environs {
		if text, err := os.ReadFile(environ); err == nil && bytes.Contains(text, []byte(c.mark)) {
			command, _ := os.ReadFile(filepath.Dir(environ) + "/cmdline")
			found = append(found, fmt.Sprintf("%s %q", environ, command))
		}
	}
	return found
}

// nothingLeft wants none of what tasks had once the worker has ended: no
// process, no file in tasksDir, and of what is kept between tasks only the whole.
func (c *crowd) nothingLeft() {
	c.t.Helper()
	if left := c.survivors(); left != nil {
		c.t.Errorf("processes of tasks outlive them: %q", left)
	}
	for _, dir := range []string{"tasks", "caches/writable/staging", "downloads/content/staging", "caches/writable/.trash", "downloads/content/.trash"} {
		entries, err := os.ReadDir(filepath.Join(c.dir, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.t.Error(err)
		}
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), ".") && !strings.HasSuffix(entry.Name(), ".lock") {
				c.t.Errorf("%s is left in %s", entry.Name(), dir)
			}
		}
	}
}
