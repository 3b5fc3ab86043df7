package taskclusterproxy

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/slugid-go/slugid"
	"go.uber.org/goleak"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/task/tasktest"
	"github.com/taskcluster/generic-worker/payload"
	"github.com/taskcluster/generic-worker/platform"
)

func TestMain(m *testing.M) {
	// Threads that start commands live as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/taskcluster/generic-worker/process/starter.(*Threads).run"))
}

const pool = "proj-proxy/pool"

// site is an embedded queue that is served, and a place for tasks.
type site struct {
	url    string
	queue  *local.Queue
	people *queue.Client
	worker *queue.Client
	engine *platform.Insecure
	log    *tasktest.Text // the operator's
}

func newSite(t testing.TB) *site {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	url := "http://" + server.Listener.Addr().String()
	q, err := local.Open(local.Options{Dir: t.TempDir(), RootURL: url, LongPoll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = local.Handler(q)
	server.Start()
	t.Cleanup(func() {
		server.Close()
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &site{url: url, queue: q, log: &tasktest.Text{}, engine: &platform.Insecure{TasksDir: t.TempDir(), CleanUp: true}}
	s.people, s.worker = s.connect(t, q.Credentials()), s.connect(t, q.WorkerCredentials())
	if err := s.engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.engine.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) connect(t testing.TB, c queue.Credentials) *queue.Client {
	client := &queue.Client{RootURL: s.url, Credentials: func() queue.Credentials { return c }, HTTP: queue.NewHTTPClient()}
	t.Cleanup(client.HTTP.CloseIdleConnections)
	return client
}

// claim makes a task with the scopes and claims it.
func (s *site) claim(t testing.TB, scopes ...string) queue.Claim {
	t.Helper()
	now := time.Now().UTC()
	if scopes == nil {
		scopes = []string{}
	}
	body, err := json.Marshal(map[string]any{
		"taskQueueId": pool, "created": now.Format(time.RFC3339), "deadline": now.Add(time.Hour).Format(time.RFC3339),
		"scopes": scopes, "payload": map[string]any{}, "schedulerId": "sched",
		"metadata": map[string]string{"name": "n", "description": "d", "owner": "nobody@example.com", "source": "https://example.com/"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.people.CreateTask(t.Context(), slugid.Nice(), body); err != nil {
		t.Fatal(err)
	}
	claims, err := s.worker.Claim(t.Context(), queue.Worker{TaskQueueID: pool, WorkerGroup: "g", WorkerID: "w"}, 1)
	if err != nil || len(claims) != 1 {
		t.Fatalf("got %d claims, %v", len(claims), err)
	}
	return claims[0]
}

// running is a claimed run with its proxy.
type running struct {
	*task.Run
	hooks features.Hooks
	url   string
}

func anybody(*task.Run, netip.AddrPort, netip.AddrPort) error { return nil }

// feature lets every caller in, unless judge says otherwise.
func (s *site) feature(config Config) *Feature {
	config.RootURL = s.url
	f := New(config)
	f.judge = anybody
	return f
}

// run opens the proxy of a new task. It is closed with the test.
func (s *site) run(t testing.TB, f *Feature, claim queue.Claim) *running {
	t.Helper()
	r, err := s.tryRun(t, f, claim)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *site) tryRun(t testing.TB, f *Feature, claim queue.Claim) (*running, error) {
	t.Helper()
	session, err := s.engine.Open(t.Context(), platform.SessionName(claim.TaskID, claim.RunID))
	if err != nil {
		t.Fatal(err)
	}
	opener := task.Opener{Dir: t.TempDir(), Queue: s.worker, Operator: slog.New(slog.NewTextHandler(s.log, nil))}
	run, err := opener.Open(func() queue.Claim { return claim })
	if err != nil {
		t.Fatal(err)
	}
	run.Session = session
	run.Payload = payload.Payload{Features: payload.Features{TaskclusterProxy: true}, TaskclusterProxyInterface: "localhost"}
	t.Cleanup(func() {
		if err := run.Log.Close(); err != nil {
			t.Error(err)
		}
		if err := session.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	hooks, err := f.Attach(run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := hooks.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	err = hooks.Prepare(t.Context())
	return &running{Run: run, hooks: hooks, url: run.Environ()["TASKCLUSTER_PROXY_URL"]}, err
}

// ask makes a request on a connection of its own and returns status and body.
func ask(t testing.TB, method, url, body string, header ...string) (int, string) {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, reader)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			request.Host = header[i+1]
		}
		request.Header.Add(header[i], header[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
