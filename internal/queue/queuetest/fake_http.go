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
	endpoint, known := f.routes[x.route()]
	if !known {
		endpoint.handle = func(*exchange) reply { return notFound("route") }
	}
	if f.o.Skew != 0 {
		w.Header().Set("Date", f.now().UTC().Format(http.TimeFormat))
	}
	began := time.Now()
	f.mu.Lock()
	x.fault = f.pick(endpoint.name)
	x.entry = len(f.calls)
	clientID := clientOf(r)
	f.calls = append(f.calls, Call{
		At: began, Method: r.Method, Endpoint: endpoint.name, TaskID: x.taskID, RunID: x.runID,
		Name: x.name, ClientID: clientID, Fault: x.fault.Kind,
	})
	if !known {
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

	if endpoint.name != "putData" {
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
	x.answer(endpoint.handle(x))
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

// route finds out what a request is about, and where in endpoints that is. Paths are split before they are
// decoded: an artifact's name may contain encoded slashes, or plain ones.
func (x *exchange) route() string {
	service, path, _ := strings.Cut(strings.TrimPrefix(x.r.URL.EscapedPath(), "/"), "/")
	if service == "storage" {
		x.name = unescape(path)
		return x.r.Method + " storage"
	}
	parts := strings.Split(path, "/")
	if service != "api" || len(parts) < 3 || parts[1] != "v1" {
		return ""
	}
	service, parts = parts[0], parts[2:]
	kind := service + " " + parts[0]
	switch {
	case kind == "queue task" && len(parts) > 1:
		return x.r.Method + " " + x.taskKind(parts[1:])
	case len(parts) > 1:
		if kind == "queue task-group" {
			parts = parts[:2]
		}
		x.name = unescape(strings.Join(parts[1:], "/"))
	}
	return x.r.Method + " " + kind
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

// endpoint is one thing that the queue and its neighbours are asked.
type endpoint struct {
	name   string
	handle handler
}

// endpoints returns them by what route makes of a method and a path.
func (f *Fake) endpoints() map[string]endpoint {
	return map[string]endpoint{
		"GET queue ping":                 {"ping", func(*exchange) reply { return reply{200, map[string]any{"alive": true, "uptime": 1}} }},
		"PUT task":                       {"createTask", f.createTask},
		"GET task":                       {"task", f.task},
		"GET task status":                {"status", f.onTask(func(t *fakeTask) reply { return f.statusOf(t) })},
		"POST task schedule":             {"scheduleTask", f.onTask(f.schedule)},
		"POST task rerun":                {"rerunTask", f.onTask(f.rerun)},
		"POST task cancel":               {"cancelTask", f.onTask(f.cancel)},
		"GET queue task-group":           {"listTaskGroup", f.listTaskGroup},
		"POST queue claim-work":          {"claimWork", f.claimWork},
		"POST run reclaim":               {"reclaimTask", f.onRun(f.reclaim)},
		"POST run completed":             {"reportCompleted", f.onRun(f.reportAs("completed"))},
		"POST run failed":                {"reportFailed", f.onRun(f.reportAs("failed"))},
		"POST run exception":             {"reportException", f.onRun(f.reportAs("exception"))},
		"POST run artifacts name":        {"createArtifact", f.onRun(f.createArtifact)},
		"PUT run artifacts name":         {"finishArtifact", f.onRun(f.finishArtifact)},
		"GET run artifacts name":         {"getArtifact", f.onRun(f.getArtifact)},
		"GET task artifacts name":        {"getLatestArtifact", f.onRun(f.getArtifact)},
		"GET task artifact-content name": {"latestArtifact", f.onRun(f.artifactContent)},
		"PUT object start-download":      {"startDownload", f.startDownload},
		"GET index task":                 {"findTask", f.findTask},
		"POST auth scopes":               {"expandScopes", f.expandScopes},
		"GET purge-cache purge-cache":    {"purgeRequests", f.purgeRequests},
		"GET run artifacts":              {"listArtifacts", f.onRun(f.listArtifacts)},
		"GET task artifacts":             {"listLatestArtifacts", f.onRun(f.listArtifacts)},
		"PUT object upload":              {"createUpload", f.createUpload},
		"POST object finish-upload":      {"finishUpload", f.finishUpload},
		"PUT storage":                    {"putData", f.putData},
		"GET storage":                    {"getData", f.getData},
	}
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
