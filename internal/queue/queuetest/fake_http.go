package queuetest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// exchange is one request and what it is about.
type exchange struct {
	f *Fake
	w http.ResponseWriter
	r *http.Request

	taskID string
	runID  int
	name   string // artifact, object, or what else the path ends with
	body   []byte
	fault  Fault
	entry  int // in the ledger
}

// reply is what the queue decides. A doc of bytes is sent as it is, nil means
// no body.
type reply struct {
	status int
	doc    any
}

func refuse(status int, code, message string) reply {
	return reply{status, map[string]any{"code": code, "message": message}}
}

func notFound(what string) reply {
	return refuse(http.StatusNotFound, "ResourceNotFound", what+" not found")
}

func conflict(message string) reply {
	return refuse(http.StatusConflict, "RequestConflict", message)
}

func inputError(message string) reply {
	return refuse(http.StatusBadRequest, "InputError", message)
}

// ServeHTTP answers one request.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{f: f, w: w, r: r, runID: -1}
	endpoint, handle := x.route()
	if f.o.Skew != 0 {
		w.Header().Set("Date", f.now().UTC().Format(http.TimeFormat))
	}
	began := time.Now()
	f.mu.Lock()
	x.fault = f.pick(endpoint)
	x.entry = len(f.calls)
	clientID := clientOf(r)
	f.calls = append(f.calls, Call{
		At: began, Method: r.Method, Endpoint: endpoint, TaskID: x.taskID, RunID: x.runID,
		Name: x.name, ClientID: clientID, Fault: x.fault.Kind,
	})
	if endpoint == "" {
		f.violate("unknown endpoint: %s %s", r.Method, r.URL.EscapedPath())
	}
	f.notify()
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.calls[x.entry].Took = max(1, time.Since(began))
		f.notify()
		f.mu.Unlock()
	}()

	if endpoint != "putData" {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10<<20))
		if err != nil {
			x.answer(refuse(http.StatusRequestEntityTooLarge, "InputTooLarge", "body does not arrive or is too long"))
			return
		}
		x.body = body
		x.record(0, int64(len(body)))
	}
	if x.before() {
		return
	}
	if refusal := x.authenticate(clientID); refusal != nil {
		x.answer(*refusal)
		return
	}
	x.answer(handle(x))
}

// record completes the ledger's entry.
func (x *exchange) record(status int, bytes int64) {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	if status != 0 {
		x.f.calls[x.entry].Status = status
	}
	x.f.calls[x.entry].Bytes += bytes
	x.f.notify()
}

// answer sends a reply. One with status zero has been sent already.
func (x *exchange) answer(r reply) {
	if r.status == 0 {
		return
	}
	x.record(r.status, 0)
	body, raw := r.doc.([]byte)
	if !raw && r.doc != nil {
		var err error
		if body, err = json.Marshal(r.doc); err != nil {
			r.status, body = http.StatusInternalServerError, []byte(`{"code": "InternalServerError"}`)
		}
	}
	if body != nil {
		x.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	x.after(r.status, body)
}

type handler func(*exchange) reply

// route finds out what a request is about. Paths are split before they are
// decoded: an artifact's name may contain encoded slashes, or plain ones.
func (x *exchange) route() (string, handler) {
	service, path, _ := strings.Cut(strings.TrimPrefix(x.r.URL.EscapedPath(), "/"), "/")
	if service == "storage" {
		x.name = unescape(path)
		return x.endpoint(x.r.Method + " storage")
	}
	parts := strings.Split(path, "/")
	if service != "api" || len(parts) < 3 || parts[1] != "v1" {
		return x.endpoint("")
	}
	service, parts = parts[0], parts[2:]
	kind := service + " " + parts[0]
	switch {
	case kind == "queue task" && len(parts) > 1:
		return x.endpoint(x.r.Method + " " + x.taskKind(parts[1:]))
	case len(parts) > 1:
		if kind == "queue task-group" {
			parts = parts[:2]
		}
		x.name = unescape(strings.Join(parts[1:], "/"))
	}
	return x.endpoint(x.r.Method + " " + kind)
}

// taskKind takes a path apart that follows /task/.
func (x *exchange) taskKind(parts []string) string {
	x.taskID, parts = unescape(parts[0]), parts[1:]
	kind := "task"
	if len(parts) >= 2 && parts[0] == "runs" {
		run, err := strconv.Atoi(parts[1])
		if err != nil {
			return ""
		}
		x.runID, parts = run, parts[2:]
		kind = "run"
	}
	if len(parts) > 0 {
		kind += " " + parts[0]
	}
	if len(parts) > 1 {
		x.name = unescape(strings.Join(parts[1:], "/"))
		kind += " name"
	}
	return kind
}

func (x *exchange) endpoint(kind string) (string, handler) {
	f := x.f
	switch kind {
	case "GET queue ping":
		return "ping", func(*exchange) reply { return reply{200, map[string]any{"alive": true, "uptime": 1}} }
	case "PUT task":
		return "createTask", f.createTask
	case "GET task":
		return "task", f.task
	case "GET task status":
		return "status", f.onTask(func(t *fakeTask) reply { return f.statusOf(t) })
	case "POST task schedule":
		return "scheduleTask", f.onTask(f.schedule)
	case "POST task rerun":
		return "rerunTask", f.onTask(f.rerun)
	case "POST task cancel":
		return "cancelTask", f.onTask(f.cancel)
	case "GET queue task-group":
		return "listTaskGroup", f.listTaskGroup
	case "POST queue claim-work":
		return "claimWork", f.claimWork
	case "POST run reclaim":
		return "reclaimTask", f.onRun(f.reclaim)
	case "POST run completed":
		return "reportCompleted", f.onRun(f.reportAs("completed"))
	case "POST run failed":
		return "reportFailed", f.onRun(f.reportAs("failed"))
	case "POST run exception":
		return "reportException", f.onRun(f.reportAs("exception"))
	}
	return x.artifactEndpoint(kind)
}

func (x *exchange) artifactEndpoint(kind string) (string, handler) {
	f := x.f
	switch kind {
	case "POST run artifacts name":
		return "createArtifact", f.onRun(f.createArtifact)
	case "PUT run artifacts name":
		return "finishArtifact", f.onRun(f.finishArtifact)
	case "GET run artifacts name":
		return "getArtifact", f.onRun(f.getArtifact)
	case "GET task artifacts name":
		return "getLatestArtifact", f.onRun(f.getArtifact)
	case "GET task artifact-content name":
		return "latestArtifact", f.onRun(f.artifactContent)
	case "PUT object start-download":
		return "startDownload", f.startDownload
	case "GET index task":
		return "findTask", f.findTask
	case "POST auth scopes":
		return "expandScopes", f.expandScopes
	case "GET purge-cache purge-cache":
		return "purgeRequests", f.purgeRequests
	case "GET run artifacts":
		return "listArtifacts", f.onRun(f.listArtifacts)
	case "GET task artifacts":
		return "listLatestArtifacts", f.onRun(f.listArtifacts)
	case "PUT object upload":
		return "createUpload", f.createUpload
	case "POST object finish-upload":
		return "finishUpload", f.finishUpload
	case "PUT storage":
		return "putData", f.putData
	case "GET storage":
		return "getData", f.getData
	}
	return "", func(*exchange) reply { return notFound("route") }
}

// onTask makes a handler of what is done to an existing task, under the lock.
func (f *Fake) onTask(do func(*fakeTask) reply) handler {
	return func(x *exchange) reply {
		f.mu.Lock()
		defer f.mu.Unlock()
		task := f.tasks[x.taskID]
		if task == nil {
			return notFound("task")
		}
		return do(task)
	}
}

// onRun makes a handler of what is done to an existing run, under the lock.
func (f *Fake) onRun(do func(*exchange, *fakeRun) reply) handler {
	return func(x *exchange) reply {
		return f.onTask(func(task *fakeTask) reply {
			run := x.runID
			if run < 0 {
				run = len(task.runs) - 1
			}
			if run < 0 || run >= len(task.runs) {
				return notFound("run")
			}
			return do(x, task.runs[run])
		})(x)
	}
}

// authenticate refuses a claim's credentials for other runs and after their end.
func (x *exchange) authenticate(clientID string) *reply {
	if !strings.HasPrefix(clientID, "task-client/") {
		return nil
	}
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	expires, known := x.f.issued[clientID]
	run := strings.Split(clientID, "/")
	var refusal reply
	switch {
	case !known:
		refusal = refuse(http.StatusUnauthorized, "AuthenticationFailed", "no such client")
	case !x.f.now().Before(expires):
		x.f.violate("expired credentials: %s %s", x.f.calls[x.entry].Endpoint, clientID)
		refusal = refuse(http.StatusUnauthorized, "AuthenticationFailed", "ext.certificate.expiry < now")
	case x.taskID != "" && x.r.Method != http.MethodGet && (run[1] != x.taskID || run[2] != strconv.Itoa(x.runID)):
		x.f.violate("foreign credentials: %s %s", x.f.calls[x.entry].Endpoint, clientID)
		refusal = refuse(http.StatusForbidden, "InsufficientScopes", "credentials are for another run")
	default:
		return nil
	}
	return &refusal
}

// clientOf reads the client id of a Hawk header.
func clientOf(r *http.Request) string {
	_, rest, found := strings.Cut(r.Header.Get("Authorization"), `id="`)
	if !found {
		return ""
	}
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// page cuts one page out of a list of n entries, by the request's query.
func (x *exchange) page(n int) (from, to int, next string) {
	query := x.r.URL.Query()
	from, _ = strconv.Atoi(query.Get("continuationToken")) // none: from the start
	size, err := strconv.Atoi(query.Get("limit"))
	if err != nil || size < 1 || size > x.f.o.PageSize {
		size = x.f.o.PageSize
	}
	from = max(0, min(from, n))
	to = min(n, from+size)
	if to < n {
		next = strconv.Itoa(to)
	}
	return from, to, next
}
