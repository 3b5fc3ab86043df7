package shell

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

// TestPipes runs the command without a terminal.
func TestPipes(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ in, want string }{
		"lines":             {"ls\npwd\n", "ls\npwd\nexit\n"},
		"without a newline": {"ls", "ls\nexit\n"},
		"nothing":           {"", "exit\n"},
		"what would leave":  {"~.\n", "~.\nexit\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := worker(t, func(t *testing.T, conn *websocket.Conn) {
				typed := ""
				for len(typed) < len(row.want) {
					message := receive(t, conn)
					if message == "" || message[0] != 1 {
						t.Errorf("got the message %q", message)
						return
					}
					typed += message[1:]
				}
				tell(t, conn, "<"+typed+">")
				_ = conn.Close(websocket.StatusNormalClosure, "the shell exited with 3")
			})
			root, id := running(t, socket)
			var out, people bytes.Buffer
			if code := execute(t.Context(), root, []string{id}, strings.NewReader(row.in), &out, &people); code != exit.Done {
				t.Errorf("exit code %d: %s", code, &people)
			}
			if got := out.String(); got != "<"+row.want+">" {
				t.Errorf("shown was %q", got)
			}
		})
	}
}

// TestEnds has shells that end in all ways.
func TestEnds(t *testing.T) {
	t.Parallel()
	ends := func(code websocket.StatusCode) func(*testing.T, *websocket.Conn) {
		return func(t *testing.T, conn *websocket.Conn) {
			tell(t, conn, "last line\r\n")
			_ = conn.Close(code, "reason")
		}
	}
	for name, row := range map[string]struct {
		serve func(*testing.T, *websocket.Conn)
		want  int
		says  string
	}{
		"exit":       {serve: ends(websocket.StatusNormalClosure), want: exit.Done},
		"task over":  {serve: ends(websocket.StatusGoingAway), want: exit.Done},
		"error":      {serve: ends(websocket.StatusInternalError), want: exit.Unavailable, says: "the connection to the shell broke off"},
		"broken off": {serve: func(t *testing.T, conn *websocket.Conn) { tell(t, conn, "last line\r\n") }, want: exit.Unavailable, says: "the connection to the shell broke off"},
		"too much": {serve: func(t *testing.T, conn *websocket.Conn) {
			tell(t, conn, "last line\r\n")
			_ = conn.Write(context.Background(), websocket.MessageBinary, make([]byte, mostMessage+1))
		}, want: exit.Unavailable, says: "the connection to the shell broke off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, id := running(t, worker(t, row.serve))
			var out, people bytes.Buffer
			code := execute(t.Context(), root, []string{id, "--run", "0"}, strings.NewReader(""), &out, &people)
			if code != row.want || !strings.Contains(people.String(), row.says) || out.String() != "last line\r\n" {
				t.Errorf("exit code %d, %s; shown was %q", code, &people, &out)
			}
		})
	}
}

// TestNoShell asks for shells that cannot be had, and reads why.
func TestNoShell(t *testing.T) {
	t.Parallel()
	refuses := func(status int) func(*testing.T, *queuetest.Fake) string {
		return func(t *testing.T, fake *queuetest.Fake) string {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "because", status) }))
			t.Cleanup(server.Close)
			id := fake.AddTask(wants)
			link(t, fake, claim(t, fake), pageOf(strings.Replace(server.URL, "http", "ws", 1)+"/shell/sesame"))
			return id
		}
	}
	leads := func(page string) func(*testing.T, *queuetest.Fake) string {
		return func(t *testing.T, fake *queuetest.Fake) string {
			id := fake.AddTask(wants)
			link(t, fake, claim(t, fake), page)
			return id
		}
	}
	for name, row := range map[string]struct {
		task func(*testing.T, *queuetest.Fake) string
		args []string
		want int
		says string
	}{
		"not asked for": {task: func(_ *testing.T, fake *queuetest.Fake) string {
			return fake.AddTask(map[string]any{"features": map[string]any{"interactive": false}})
		}, want: exit.Refused, says: "the task does not ask for one; create it with features: {interactive: true} in its payload"},
		"no such task": {task: func(*testing.T, *queuetest.Fake) string { return "AAAAAAAAQAAAAAAAAAAAAA" }, want: exit.Refused, says: "404"},
		"no task id":   {task: func(*testing.T, *queuetest.Fake) string { return "x" }, want: exit.Usage, says: "x"},
		"canceled": {task: func(_ *testing.T, fake *queuetest.Fake) string {
			id := fake.AddTask(wants)
			fake.Cancel(id)
			return id
		}, want: exit.Refused, says: "run 0 of the task has ended (exception), and its shell with it"},
		"ended": {task: func(t *testing.T, fake *queuetest.Fake) string {
			id := fake.AddTask(wants)
			if err := client(fake.URL).Resolve(t.Context(), claim(t, fake), queue.Outcome{State: "completed"}); err != nil {
				t.Error(err)
			}
			return id
		}, want: exit.Refused, says: "run 0 of the task has ended (completed), and its shell with it"},
		"no such run": {task: leads(pageOf("ws://127.0.0.1:1/shell/sesame")), args: []string{"--run", "7"}, want: exit.Refused, says: "the task has no run 7"},
		"not a shell": {task: leads("https://tc.example.com/shell/?v=1&socketUrl=ws%3A%2F%2Flocalhost"), want: exit.Refused, says: "does not lead to a shell that this version knows"},
		"not a socket": {
			task: leads("https://tc.example.com/shell/?v=2&socketUrl=file%3A%2F%2F%2Fetc%2Fpasswd"), want: exit.Refused, says: "does not lead to a shell that this version knows",
		},
		"nobody listens": {task: func(t *testing.T, fake *queuetest.Fake) string {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			return leads(pageOf("ws://"+listener.Addr().String()+"/shell/sesame"))(t, fake)
		}, want: exit.Unavailable, says: "with a publicIP that can be reached from here?"},
		"run over":     {task: refuses(http.StatusGone), want: exit.Refused, says: "the worker says that the run is over"},
		"wrong secret": {task: refuses(http.StatusUnauthorized), want: exit.Refused, says: "the worker says that the run is over"},
		"full":         {task: refuses(http.StatusServiceUnavailable), want: exit.Refused, says: `the worker answers with status 503: "because"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := queuetest.StartFake(t, queuetest.FakeOptions{LongPoll: time.Second})
			var out, people bytes.Buffer
			code := execute(t.Context(), fake.URL, append([]string{row.task(t, fake)}, row.args...), strings.NewReader("x"), &out, &people)
			if code != row.want || !strings.Contains(people.String(), row.says) {
				t.Errorf("exit code %d: %s", code, &people)
			}
			if strings.Contains(people.String(), "sesame") || strings.Contains(people.String(), "bewit") {
				t.Errorf("it shows a secret: %s", &people)
			}
		})
	}
}

// TestQueueOutOfReach has the queue refuse, fail, and not listen.
func TestQueueOutOfReach(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fault queuetest.Fault
		want  int
		says  string
	}{
		"no scope": {queuetest.Fault{Endpoint: "getArtifact", Kind: queuetest.FaultStatus, Status: http.StatusForbidden}, exit.Refused, "it takes the scope queue:get-artifact:private/generic-worker/shell.html"},
		"failing":  {queuetest.Fault{Endpoint: "getArtifact", Kind: queuetest.FaultStatus, Status: http.StatusInternalServerError}, exit.Unavailable, "it answers with status 500"},
		"down":     {queuetest.Fault{Endpoint: "status", Kind: queuetest.FaultReset}, exit.Unavailable, "is the queue running"},
		"cut off":  {queuetest.Fault{Endpoint: "getArtifact", Kind: queuetest.FaultReset}, exit.Unavailable, "cannot ask the queue for the shell"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := queuetest.StartFake(t, queuetest.FakeOptions{LongPoll: time.Second})
			id := fake.AddTask(wants)
			claim(t, fake)
			fake.Inject(row.fault)
			var out, people bytes.Buffer
			code := execute(t.Context(), fake.URL, []string{id}, strings.NewReader("x"), &out, &people)
			if code != row.want || !strings.Contains(people.String(), row.says) || strings.Contains(people.String(), "bewit") {
				t.Errorf("exit code %d: %s", code, &people)
			}
		})
	}
}

// notices tells when something was written.
type notices struct {
	mu   sync.Mutex
	text bytes.Buffer
	told chan struct{}
}

func (n *notices) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.text.Len() == 0 {
		close(n.told)
	}
	return n.text.Write(p)
}

// TestWaitsForTheShell is there before the task.
func TestWaitsForTheShell(t *testing.T) {
	t.Parallel()
	socket := worker(t, func(_ *testing.T, conn *websocket.Conn) { _ = conn.Close(websocket.StatusNormalClosure, "") })
	fake := queuetest.StartFake(t, queuetest.FakeOptions{LongPoll: time.Second})
	id := fake.AddTask(wants)
	people, code := &notices{told: make(chan struct{})}, make(chan int, 1)
	go func() {
		code <- execute(t.Context(), fake.URL, []string{id}, strings.NewReader(""), &bytes.Buffer{}, people)
	}()
	<-people.told
	link(t, fake, claim(t, fake), pageOf(socket))
	if got, want := <-code, "generic-worker: the task is pending and has no shell yet; waiting for it\n"; got != exit.Done || people.text.String() != want {
		t.Errorf("exit code %d: %s", got, &people.text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	people = &notices{told: make(chan struct{})}
	other := fake.AddTask(wants)
	go func() {
		code <- execute(ctx, fake.URL, []string{other}, strings.NewReader(""), &bytes.Buffer{}, people)
	}()
	<-people.told
	cancel()
	if got := <-code; got != exit.Interrupted {
		t.Errorf("exit code %d", got)
	}
}
