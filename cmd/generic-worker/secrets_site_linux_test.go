package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

// recorder is a fake queue, with a secrets service, that keeps every request.
type recorder struct {
	*queuetest.Fake
	evidence *evidence
	secret   map[string]string // that tasks may read
	issued   func(run string, token, certificate string)
	linked   func(body []byte) // called with what leads to a shell
}

func newRecorder(t *testing.T, secret map[string]string, to *evidence, issued func(run, token, certificate string)) *recorder {
	t.Helper()
	r := &recorder{Fake: queuetest.StartFake(t, queuetest.FakeOptions{LongPoll: time.Second}), evidence: to, secret: secret, issued: issued}
	server := httptest.NewUnstartedServer(r)
	r.URL = "http://" + server.Listener.Addr().String()
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return r
}

// ServeHTTP keeps the request and has it answered.
func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	place := "request " + request.Method + " " + request.URL.Path
	r.evidence.add("authorization of "+place, []byte(request.Header.Get("Authorization")))
	rest := request.Header.Clone()
	rest.Del("Authorization")
	r.evidence.add(place, fmt.Appendf(nil, "%s %v", request.RequestURI, rest))
	r.evidence.add(place, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	if strings.HasSuffix(request.URL.Path, "/shell.html") && r.linked != nil {
		r.linked(body)
	}
	name, isSecret := strings.CutPrefix(request.URL.Path, "/api/secrets/v1/secret/")
	switch {
	case isSecret:
		r.secrets(w, request, name)
	case strings.Contains(request.URL.Path, "/claim-work/"), strings.HasSuffix(request.URL.Path, "/reclaim"):
		answer := &copied{ResponseWriter: w}
		r.Fake.ServeHTTP(answer, request)
		r.learn(answer.body.Bytes())
	default:
		r.Fake.ServeHTTP(w, request)
	}
}

func (r *recorder) secrets(w http.ResponseWriter, request *http.Request, name string) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case request.Method == http.MethodPut:
		fmt.Fprint(w, "{}")
	case name == "project/read":
		_ = json.NewEncoder(w).Encode(map[string]any{"secret": r.secret, "expires": "2099-01-01T00:00:00.000Z"})
	default:
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"code":"InsufficientScopes","message":"%s"}`, name)
	}
}

// learn reads the credentials of claims.
func (r *recorder) learn(answer []byte) {
	type claim struct {
		Status struct {
			TaskID string `json:"taskId"`
		} `json:"status"`
		RunID       int `json:"runId"`
		Credentials struct{ AccessToken, Certificate string }
	}
	var one claim
	var several struct{ Tasks []claim }
	if json.Unmarshal(answer, &one) != nil || json.Unmarshal(answer, &several) != nil {
		return
	}
	for _, c := range append(several.Tasks, one) {
		if c.Credentials.AccessToken != "" {
			r.issued(fmt.Sprintf("%s_%d", c.Status.TaskID, c.RunID), c.Credentials.AccessToken, c.Credentials.Certificate)
		}
	}
}

// copied is an answer that is also kept.
type copied struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (c *copied) Write(p []byte) (int, error) {
	c.body.Write(p)
	return c.ResponseWriter.Write(p)
}

// Unwrap makes the connection's other abilities known.
func (c *copied) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// holder gives running tasks what only the test can know, is told when they
// have confessed, and lets them go on.
type holder struct {
	url      string
	stateDir string
	written  string
	issued   func(run string, token, certificate string)

	mu   sync.Mutex
	told map[string]chan struct{} // closed, by run
	free map[string]chan struct{}
}

func newHolder(t *testing.T, stateDir, written string, issued func(run, token, certificate string)) *holder {
	t.Helper()
	h := &holder{stateDir: stateDir, written: written, issued: issued, told: map[string]chan struct{}{}, free: map[string]chan struct{}{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /secrets/{run}", h.give)
	mux.HandleFunc("POST /told/{run}", h.hold)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	h.url = server.URL
	return h
}

// give answers with the credentials of a run, as the worker's journal has them.
func (h *holder) give(w http.ResponseWriter, r *http.Request) {
	var entry struct{ AccessToken, Certificate string }
	text, err := os.ReadFile(filepath.Join(h.stateDir, "running", r.PathValue("run")+".json"))
	if err == nil {
		err = json.Unmarshal(text, &entry)
	}
	if err != nil || entry.AccessToken == "" {
		http.Error(w, fmt.Sprint("no credentials: ", err), http.StatusInternalServerError)
		return
	}
	h.issued(r.PathValue("run"), entry.AccessToken, entry.Certificate)
	_ = json.NewEncoder(w).Encode(map[string]string{"token": entry.AccessToken, "signature": signatureOf(entry.Certificate), "written": h.written})
}

func signatureOf(certificate string) string {
	var c struct{ Signature string }
	_ = json.Unmarshal([]byte(certificate), &c) // permanent credentials have none
	return c.Signature
}

func (h *holder) hold(_ http.ResponseWriter, r *http.Request) {
	close(h.channel(h.told, r.PathValue("run")))
	select {
	case <-h.channel(h.free, r.PathValue("run")):
	case <-r.Context().Done():
	}
}

func (h *holder) channel(of map[string]chan struct{}, run string) chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if of[run] == nil {
		of[run] = make(chan struct{})
	}
	return of[run]
}

// known are the secrets that came up while the worker ran.
type known struct {
	mu       sync.Mutex
	canaries map[string]canary // by value
}

// issue adds the credentials of a run.
func (k *known) issue(run, token, certificate string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.canaries[token] = newCanary("token of "+run, token)
	if signature := signatureOf(certificate); signature != "" {
		k.canaries[signature] = newCanary("signature of "+run, signature)
	}
}

func (k *known) all() []canary {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []canary
	for _, c := range k.canaries {
		all = append(all, c)
	}
	return slices.Clip(all)
}
