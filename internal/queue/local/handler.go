package local

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/gorilla/mux"

	"github.com/taskcluster/generic-worker/internal/queue/local/rest"
	"github.com/taskcluster/generic-worker/internal/queue/local/services"
)

// call is a request to the queue's API.
type call struct {
	*Queue
	*rest.Call
}

func (q *Queue) route(verb, path, name string, answer func(*call) (any, error)) rest.Route {
	return rest.Route{Verb: verb, Path: path, Name: name, Answer: func(c *rest.Call) (any, error) { return answer(&call{q, c}) }}
}

// Handler serves a queue's APIs under /api, artifacts' data under /storage,
// and short texts at the root and where a deployment has its page for shells. It expects paths as they were sent: whatever
// wraps it must not clean or decode them.
func Handler(q *Queue) http.Handler {
	m := mux.NewRouter().UseEncodedPath().SkipClean(true)
	server := rest.NewServer(q.verifier, q.options.Log)
	server.Register(m, "queue", append(q.taskRoutes(), q.artifactRoutes()...))
	q.storage.Register(server, m)
	beside := &services.Services{
		Store:     q.ledger.Store(),
		Anonymous: anonymousScopes[:],
		Artifact:  func(c *rest.Call) (any, error) { return (&call{q, c}).getArtifact() },
	}
	beside.Register(server, m)
	m.HandleFunc("/", greet).Methods(http.MethodGet, http.MethodHead)
	m.HandleFunc("/shell/", greetVisitor).Methods(http.MethodGet, http.MethodHead)
	m.NotFoundHandler = http.HandlerFunc(server.NotFound)
	m.MethodNotAllowedHandler = m.NotFoundHandler
	return server.Contain(m)
}

func greet(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, `This is the queue embedded in generic-worker, for one machine.

Its API is Taskcluster's: use this address as the root URL of any Taskcluster
client. Credentials are in the file credentials.json of the queue's directory.
`)
}

// greetVisitor tells who follows the link to the shell of a task how to open
// one: a browser needs more for it than a text.
func greetVisitor(w http.ResponseWriter, r *http.Request) {
	task := r.URL.Query().Get("taskId")
	if !rest.SlugForm().MatchString(task) {
		task = "TASK_ID"
	}
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	fmt.Fprintf(w, `This queue has no page for shells. In a terminal on its machine, this opens the
shell of the task:

  generic-worker task shell --config FILE %s

FILE is the configuration of the worker; a task of "task run" needs none.
`, task)
}

// runID returns the run that the path names, whose form was checked.
func (c *call) runID() int {
	n, err := strconv.Atoi(c.Params["runId"])
	if err != nil {
		panic(fmt.Sprintf("local: internal error: run id %q was not checked", c.Params["runId"]))
	}
	return n
}
