//go:build unix

package interactive

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/task/tasktest"
	"github.com/taskcluster/generic-worker/payload"
	"github.com/taskcluster/generic-worker/platform"
)

func TestMain(m *testing.M) {
	// Threads that start commands live as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/taskcluster/generic-worker/process/starter.(*Threads).run"))
}

// patient bounds every wait of a test.
const patient = time.Minute

// fixture is a worker's shells, a queue and one claimed run with a place.
type fixture struct {
	*Feature
	run   *task.Run
	fake  *queuetest.Fake
	log   *tasktest.Text
	hooks features.Hooks
}

func newFixture(t *testing.T, config Config, wanted payload.Interactive) *fixture {
	t.Helper()
	log := &tasktest.Text{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	f := &fixture{fake: queuetest.StartFake(t, queuetest.FakeOptions{}), log: log}
	config.RootURL = f.fake.URL
	f.Feature = New(config, logger)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		if err := f.Feature.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	f.fake.AddTask(map[string]any{})
	f.run = tasktest.Claimed(t, f.fake)
	f.run.Operator, f.run.Session = logger, newSession(t)
	f.run.Environment = func() map[string]string { return map[string]string{"COLOR": "blue", "PS1": "$ "} }
	f.run.Payload = payload.Payload{MaxRunTime: time.Hour, Features: payload.Features{Interactive: wanted}}
	var err error
	if f.hooks, err = f.Attach(f.run); err != nil {
		t.Fatal(err)
	}
	return f
}

func newSession(t *testing.T) *platform.Session {
	t.Helper()
	engine := &platform.Insecure{TasksDir: t.TempDir(), CleanUp: true}
	if err := engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	session, err := engine.Open(t.Context(), "task_x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		if err := session.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := engine.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return session
}

// askOnDemand has the worker ask clients whether they are there when the test
// sends it a time.
func (f *fixture) askOnDemand(patience time.Duration) chan<- time.Time {
	when := make(chan time.Time)
	f.server.timing = timing{pings: func() (<-chan time.Time, func()) { return when, func() {} }, patience: patience}
	return when
}

// open prepares the run and returns the address of its shell.
func (f *fixture) open(t *testing.T, ctx context.Context) string {
	t.Helper()
	f.Start(t.Context())
	if err := f.hooks.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.hooks.Close(context.Background()) })
	return f.socket(t)
}

// socket is the address of the shell that the artifact leads to.
func (f *fixture) socket(t *testing.T) string {
	t.Helper()
	page, err := url.Parse(f.page(t))
	if err != nil {
		t.Fatal(err)
	}
	return page.Query().Get("socketUrl")
}

func (f *fixture) page(t *testing.T) string {
	t.Helper()
	view, _ := f.fake.Run(f.run.TaskID, f.run.RunID)
	var request struct{ URL string }
	if err := json.Unmarshal(view.Artifact(Artifact).Request, &request); err != nil {
		t.Fatal(err, f.text(t))
	}
	return request.URL
}

func (f *fixture) finish(t *testing.T) {
	t.Helper()
	if err := f.hooks.Finish(t.Context(), task.Failed); err != nil {
		t.Error(err)
	}
}

// text is the task's log.
func (f *fixture) text(t *testing.T) string { return tasktest.Logged(t, f.run) }

// ask makes the request of a websocket and returns the answer's status.
func ask(t *testing.T, socket string, header http.Header) int {
	t.Helper()
	conn, response, err := connect(t, socket, header)
	if err == nil {
		_ = conn.CloseNow()
	}
	if response == nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

func connect(t *testing.T, socket string, header http.Header) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return websocket.Dial(ctx, socket, &websocket.DialOptions{HTTPClient: client, HTTPHeader: header})
}

// client is somebody who uses a shell.
type client struct {
	*websocket.Conn
	seen strings.Builder
}

func visit(t *testing.T, socket string) *client {
	t.Helper()
	conn, _, err := connect(t, socket, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &client{Conn: conn}
}

func (c *client) send(t *testing.T, message string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageBinary, []byte(message)); err != nil {
		t.Fatal(err)
	}
}

// types sends a line.
func (c *client) types(t *testing.T, line string) {
	t.Helper()
	c.send(t, "\x01"+line+"\n")
}

// sees reads until what was shown matches, and returns the first group.
func (c *client) sees(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for {
		if groups := re.FindStringSubmatch(c.seen.String()); groups != nil {
			c.seen.Reset()
			return groups[len(groups)-1]
		}
		if err := c.next(t); err != nil {
			t.Fatalf("%v; was shown, without %q:\n%s", err, pattern, c.seen.String())
		}
	}
}

// ends reads to the end and returns the reason.
func (c *client) ends(t *testing.T) (shown string, code websocket.StatusCode, reason string) {
	t.Helper()
	for {
		err := c.next(t)
		if err == nil {
			continue
		}
		var end websocket.CloseError
		if !asClose(err, &end) {
			t.Fatalf("the connection broke off: %v\n%s", err, c.seen.String())
		}
		return c.seen.String(), end.Code, end.Reason
	}
}

func (c *client) next(t *testing.T) error {
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	_, message, err := c.Read(ctx)
	c.seen.Write(message)
	return err
}

// starts types a line that starts something, which tells its number where the
// line has X, and returns that.
func (c *client) starts(t *testing.T, line string) int {
	t.Helper()
	c.types(t, strings.Replace(line, "X", "echo pid=$$.", 1))
	pid, err := strconv.Atoi(c.sees(t, `pid=([0-9]+)\.`))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// dies waits for a process to be gone.
func dies(t *testing.T, pid int) {
	t.Helper()
	if !becomes(patient, func() bool { return syscall.Kill(pid, 0) != nil }) {
		t.Errorf("process %d is alive", pid)
	}
}

// becomes waits for what tells nobody when it changes, and tells whether it did.
func becomes(limit time.Duration, condition func() bool) bool {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(limit); !condition(); <-ticker.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
