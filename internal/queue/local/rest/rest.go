package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"github.com/taskcluster/slugid-go/slugid"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
)

// maxBody is the largest JSON document accepted.
const maxBody = 10 << 20

// Codes of refusals, as Taskcluster names them.
const (
	MalformedPayload     = "MalformedPayload"
	InvalidArguments     = "InvalidRequestArguments"
	InvalidDocument      = "InputValidationError"
	InputError           = "InputError"
	AuthenticationFailed = "AuthenticationFailed"
	InsufficientScopes   = "InsufficientScopes"
	NotFound             = "ResourceNotFound"
	TooLarge             = "InputTooLarge"
	NoMatchingMethod     = "NoMatchingMethod"
	InternalError        = "InternalServerError"
)

// Refuse makes the error by which a call is answered.
func Refuse(status int, code, format string, args ...any) error {
	return &queue.Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Closed is the refusal of a queue that is being closed.
func Closed() *queue.Error {
	return &queue.Error{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable", Message: "the queue is being closed"}
}

// Call is one API request on its way to an answer.
type Call struct {
	Request *http.Request
	Params  map[string]string // decoded parts of the path
	Body    []byte
	Caller  hawk.Caller
}

// Reply is an answer that is more than a JSON document with status 200.
type Reply struct {
	Status int
	Header map[string]string
	Body   any // nil: none
}

// Route is one method of an API. Answer returns a Reply, or a document.
type Route struct {
	Verb, Path, Name string
	Answer           func(*Call) (any, error)
}

// Server serves APIs.
type Server struct {
	verifier *hawk.Verifier
	log      *slog.Logger
	started  time.Time
}

// NewServer returns a Server that answers the callers that the verifier
// knows and logs what goes wrong inside.
func NewServer(verifier *hawk.Verifier, log *slog.Logger) *Server {
	return &Server{verifier: verifier, log: log, started: time.Now()}
}

// Register adds an API, and its ping, below /api/<service>/v1.
func (s *Server) Register(m *mux.Router, service string, routes []Route) {
	ping := Route{http.MethodGet, "/ping", "ping", func(*Call) (any, error) {
		return map[string]any{"alive": true, "uptime": time.Since(s.started).Seconds()}, nil
	}}
	for _, r := range append(routes, ping) {
		verbs := []string{r.Verb}
		if r.Verb == http.MethodGet {
			verbs = append(verbs, http.MethodHead)
		}
		m.Handle("/api/"+service+"/v1"+r.Path, s.serve(r)).Methods(verbs...)
	}
}

// NotFound answers what no route answers.
func (s *Server) NotFound(w http.ResponseWriter, r *http.Request) {
	writeError(w, errorAnswer{Code: NotFound, Message: "there is no " + r.Method + " " + r.URL.Path + " here"}, http.StatusNotFound)
}

// Contain turns a panic into an answer, and keeps the process alive.
func (s *Server) Contain(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil || cause == http.ErrAbortHandler { //nolint:errorlint // a panic value
				return
			}
			incident := slugid.Nice()
			s.log.Error("queue: internal error", "incident", incident, "path", r.URL.Path, "cause", cause, "stack", string(debug.Stack()))
			writeError(w, errorAnswer{Code: InternalError, Message: "internal error, incident " + incident}, http.StatusInternalServerError)
		}()
		h.ServeHTTP(w, r)
	})
}

// serve answers the requests of one route.
func (s *Server) serve(to Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &Call{Request: r}
		answer, err := s.answer(w, c, to)
		if err != nil {
			s.Refuse(w, c, to.Name, err)
			return
		}
		special, isSpecial := answer.(Reply)
		if !isSpecial {
			special = Reply{Status: http.StatusOK, Body: answer}
		}
		for name, value := range special.Header {
			w.Header().Set(name, value)
		}
		if special.Body == nil {
			w.WriteHeader(special.Status)
			return
		}
		writeJSON(w, special.Status, special.Body)
	})
}

func (s *Server) answer(w http.ResponseWriter, c *Call, to Route) (any, error) {
	var err error
	if c.Params, err = decodeParams(mux.Vars(c.Request)); err != nil {
		return nil, err
	}
	if c.Body, err = io.ReadAll(http.MaxBytesReader(w, c.Request.Body, maxBody)); err != nil {
		if _, big := errors.AsType[*http.MaxBytesError](err); big {
			return nil, Refuse(http.StatusRequestEntityTooLarge, TooLarge, "the document is larger than %d MiB", maxBody>>20)
		}
		return nil, Refuse(http.StatusBadRequest, MalformedPayload, "the document did not arrive completely")
	}
	c.Caller, err = s.verifier.Authenticate(c.Request)
	if err == nil {
		err = c.Caller.CheckPayload(c.Request.Header.Get("Content-Type"), c.Body)
	}
	if err != nil {
		return nil, Refuse(http.StatusUnauthorized, AuthenticationFailed, "%v", err)
	}
	return to.Answer(c)
}

// Need refuses unless the caller's scopes satisfy the expression.
func (c *Call) Need(e hawk.Expression) error {
	if e.SatisfiedBy(c.Caller.Scopes) {
		return nil
	}
	who := "a request without credentials"
	if c.Caller.ClientID != "" {
		who = "client " + c.Caller.ClientID
	}
	return Refuse(
		http.StatusForbidden, InsufficientScopes, "%s does not have sufficient scopes; missing:\n\n%s\n\nthis call needs:\n\n%s",
		who, indented(e.Missing(c.Caller.Scopes)), indented(e),
	)
}

func indented(e hawk.Expression) []byte {
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return []byte(err.Error())
	}
	return text
}

// errorAnswer is the body of a refusal.
type errorAnswer struct {
	Code        string       `json:"code"`
	Message     string       `json:"message"`
	RequestInfo *requestInfo `json:"requestInfo,omitempty"`
}

// requestInfo tells a client what it asked for. The payload is left out: it
// may hold secrets, and the client has it.
type requestInfo struct {
	Method  string            `json:"method"`
	Params  map[string]string `json:"params"`
	Payload struct{}          `json:"payload"`
	Time    time.Time         `json:"time"`
}

// Refuse answers that a call was refused, or that it failed.
func (s *Server) Refuse(w http.ResponseWriter, c *Call, name string, err error) {
	if c.Request.Context().Err() != nil {
		return // nobody listens
	}
	refusal, known := errors.AsType[*queue.Error](err)
	if errors.Is(err, disk.ErrClosed) {
		refusal, known = Closed(), true
	}
	if !known {
		incident := slugid.Nice()
		s.log.Error("queue: cannot answer", "method", name, "incident", incident, "error", err)
		refusal = &queue.Error{
			Status: http.StatusInternalServerError, Code: InternalError,
			Message: "internal error, incident " + incident + "; the queue's log says more",
		}
	}
	if refusal.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Hawk")
	}
	writeError(w, errorAnswer{
		Code: refusal.Code, Message: refusal.Message,
		RequestInfo: &requestInfo{Method: name, Params: c.Params, Time: time.Now().UTC().Truncate(time.Millisecond)},
	}, refusal.Status)
}

func writeError(w http.ResponseWriter, body errorAnswer, status int) { writeJSON(w, status, body) }

func writeJSON(w http.ResponseWriter, status int, body any) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		panic(fmt.Sprintf("rest: internal error: cannot encode an answer: %v", err))
	}
	// Without the newline at its end, a definition is the same bytes wherever it is read.
	text.Truncate(text.Len() - 1)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(text.Len()))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // an error means that nobody listens any more
}

func inWords(form *regexp.Regexp) string {
	if form == SlugForm() {
		return "be an id of 22 letters, digits, - and _, made like fN1SbArXTPSVFNUvaOlinQ"
	}
	return "match " + form.String()
}

func decodeParams(raw map[string]string) (map[string]string, error) {
	params := make(map[string]string, len(raw))
	var wrong []string
	for name, value := range raw {
		decoded, err := url.PathUnescape(value)
		params[name] = decoded
		form, checked := paramForms[name]
		if err != nil || checked && !form().MatchString(decoded) {
			wrong = append(wrong, fmt.Sprintf("%s %q must %s", name, value, inWords(form())))
		}
	}
	if wrong != nil {
		return params, Refuse(http.StatusBadRequest, InvalidArguments, "the path is not valid: %s", strings.Join(wrong, "; "))
	}
	return params, nil
}

// Base is the address by which the client came.
func (c *Call) Base() string {
	r := c.Request
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
