package shell

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/features/interactive"
	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

// helper names the queue of a copy of this program that is the command.
const helper = "SHELL_TEST_QUEUE"

func TestMain(m *testing.M) {
	if rootURL := os.Getenv(helper); rootURL != "" {
		os.Exit(execute(context.Background(), rootURL, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// execute runs the command and returns its exit code.
func execute(ctx context.Context, rootURL string, args []string, in io.Reader, out, people io.Writer) int {
	c := Command(func(context.Context, string, string) (*queue.Client, error) { return client(rootURL), nil })
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(args)
	c.SetIn(in)
	c.SetOut(out)
	c.SetErr(people)
	err := c.ExecuteContext(ctx)
	if err == nil {
		return exit.Done
	}
	_, _ = io.WriteString(people, err.Error())
	if coded, ok := err.(*exit.Error); ok {
		return coded.Code
	}
	return exit.Usage
}

func client(rootURL string) *queue.Client {
	return &queue.Client{
		RootURL: rootURL, Credentials: func() queue.Credentials { return queue.Credentials{ClientID: "me", AccessToken: "secret"} },
		Limits: queue.Limits{FirstPause: time.Millisecond, MaxPause: time.Millisecond, Elapsed: 10 * time.Millisecond},
	}
}

var wants = map[string]any{"features": map[string]any{"interactive": true}}

// claim makes a task run.
func claim(t *testing.T, fake *queuetest.Fake) queue.Claim {
	t.Helper()
	claims, err := client(fake.URL).Claim(t.Context(), queue.Worker{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: "w"}, 1)
	if err != nil || len(claims) != 1 {
		t.Fatalf("got %d claims, %v", len(claims), err)
	}
	return claims[0]
}

// link publishes where the shell is.
func link(t *testing.T, fake *queuetest.Fake, claim queue.Claim, page string) {
	t.Helper()
	p := &artifact.Publisher{Queue: client(fake.URL), Claim: func() queue.Claim { return claim }}
	if err := p.Reference(t.Context(), interactive.Artifact, page, "text/html", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
}

func pageOf(socket string) string {
	return "https://tc.example.com/shell/?" + url.Values{"v": {"2"}, "socketUrl": {socket}}.Encode()
}

// running returns a queue with a task whose shell is at the socket.
func running(t *testing.T, socket string) (rootURL, taskID string) {
	t.Helper()
	fake := queuetest.StartFake(t, queuetest.FakeOptions{LongPoll: time.Second})
	id := fake.AddTask(wants)
	link(t, fake, claim(t, fake), pageOf(socket))
	return fake.URL, id
}

// worker serves shells that do what serve does, and returns a socket.
func worker(t *testing.T, serve func(t *testing.T, conn *websocket.Conn)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow()
		serve(t, conn)
	}))
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "http", "ws", 1) + "/shell/sesame"
}

// receive returns the next message.
func receive(t *testing.T, conn *websocket.Conn) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, message, err := conn.Read(ctx)
	if err != nil {
		t.Error(err)
	}
	return string(message)
}

func tell(t *testing.T, conn *websocket.Conn, text string) {
	if err := conn.Write(context.Background(), websocket.MessageBinary, []byte(text)); err != nil {
		t.Error(err)
	}
}
