package local_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local"
)

// crashDir names the directory that a child process serves until it is killed.
const crashDir = "LOCAL_QUEUE_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		serveUntilKilled(dir)
	}
	os.Exit(m.Run())
}

func serveUntilKilled(dir string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		var q *local.Queue
		if q, err = local.Open(local.Options{Dir: dir, LongPoll: 10 * time.Millisecond}); err == nil {
			fmt.Println("http://" + listener.Addr().String())
			err = http.Serve(listener, local.Handler(q))
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// promised is what a queue has answered, so that it must still be so after
// any crash.
type promised struct {
	mu        sync.Mutex
	created   map[string]json.RawMessage // by task id
	resolved  map[string]string          // state by task id
	artifacts map[string]string          // content by task id
}

func (p *promised) note(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

// TestKill kills the queue's process at random moments under load and checks
// that everything it has answered is still true.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := &promised{created: map[string]json.RawMessage{}, resolved: map[string]string{}, artifacts: map[string]string{}}
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		crash(t, dir, p)
		verify(t, dir, p)
	}
	t.Logf("%d tasks, %d resolutions and %d artifacts survived %d kills", len(p.created), len(p.resolved), len(p.artifacts), rounds)
	if len(p.created) == 0 || len(p.resolved) == 0 || len(p.artifacts) == 0 {
		t.Error("the load did not get far enough to show anything")
	}
}

// crash serves the directory in a child process, puts it under load, and
// kills it in the middle.
func crash(t *testing.T, dir string, p *promised) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the queue did not start: %v", err)
	}
	credentials := credentialsIn(t, dir)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load sync.WaitGroup
	for i := range 4 {
		load.Go(func() {
			c := &queue.Client{RootURL: strings.TrimSpace(url), Credentials: credentials, Limits: queue.Limits{Elapsed: time.Millisecond}}
			for work(ctx, t, c, fmt.Sprint("worker-", i), p) == nil {
			}
		})
	}
	// The moment of death is what this test is about; nothing waits for it.
	time.Sleep(150*time.Millisecond + rand.N(250*time.Millisecond))
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	stop() // some calls are tried until their context ends
	load.Wait()
	if err := child.Wait(); err == nil {
		t.Fatal("the queue ended by itself")
	}
}

func credentialsIn(t *testing.T, dir string) func() queue.Credentials {
	t.Helper()
	text, err := os.ReadFile(dir + "/credentials.json")
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ ClientID, AccessToken string }
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return func() queue.Credentials {
		return queue.Credentials{ClientID: c.ClientID, AccessToken: mask.Secret(c.AccessToken)}
	}
}

// work creates a task, claims one, leaves an artifact and resolves it, noting
// what is answered, until a call fails.
func work(ctx context.Context, t *testing.T, c *queue.Client, worker string, p *promised) error {
	id := slugid.Nice()
	d := definition(t, map[string]any{"extra": map[string]string{"by": worker}})
	if _, err := c.CreateTask(ctx, id, d); err != nil {
		return err
	}
	p.note(func() { p.created[id] = d })
	claims, err := c.Claim(ctx, queue.Worker{TaskQueueID: "proj-local/worker", WorkerGroup: "g", WorkerID: worker}, 1)
	if err != nil || len(claims) == 0 {
		return err
	}
	claim, content := claims[0], strings.Repeat(worker+" ", 1+rand.IntN(5000))
	raw, err := c.CreateArtifact(ctx, claim, "public/left", fmt.Appendf(
		nil, `{"storageType":"s3","contentType":"text/plain","expires":%q}`, tcclient.Time(time.Now().Add(time.Hour)),
	))
	if err != nil {
		return err
	}
	var answer struct{ PutURL string }
	if err := json.Unmarshal(raw, &answer); err != nil {
		return err
	}
	if err := upload(ctx, answer.PutURL, content); err != nil {
		return err
	}
	p.note(func() { p.artifacts[claim.TaskID] = content })
	outcome := queue.Outcome{State: "completed"}
	if rand.IntN(2) == 0 {
		outcome.State = "failed"
	}
	if err := c.Resolve(ctx, claim, outcome); err != nil {
		return err
	}
	p.note(func() { p.resolved[claim.TaskID] = outcome.State })
	return nil
}

func upload(ctx context.Context, url, content string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader(content))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "text/plain")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// verify opens the directory as the next process would and compares.
func verify(t *testing.T, dir string, p *promised) {
	t.Helper()
	q, err := local.Open(local.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for id, d := range p.created {
		// Only the same definition can be created again.
		if _, err := q.CreateTask(t.Context(), id, d); err != nil {
			t.Errorf("task %s is not as it was created: %v", id, err)
		}
	}
	for id, want := range p.resolved {
		if s, err := q.Status(t.Context(), id); err != nil || s.State != want {
			t.Errorf("task %s is %s, %v; it was resolved as %s", id, s.State, err, want)
		}
	}
	for id, want := range p.artifacts {
		content, err := q.OpenArtifact(t.Context(), id, 0, "public/left")
		if err != nil {
			t.Errorf("the artifact of task %s is lost: %v", id, err)
			continue
		}
		got, err := io.ReadAll(content)
		content.Close()
		if err != nil || string(got) != want {
			t.Errorf("the artifact of task %s has %d bytes, %v; %d were stored", id, len(got), err, len(want))
		}
	}
}
