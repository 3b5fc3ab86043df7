package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
)

// refusal is an answer of the proxy itself.
type refusal struct {
	status  int
	code    string
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(status int, code, message string) error { return &refusal{status, code, message} }

// Refuse answers a request in the way that Taskcluster's services do, so that
// clients show the message.
func Refuse(w http.ResponseWriter, status int, code, message string) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // curl shows the text as it is
	// Two strings can always be encoded.
	_ = encoder.Encode(map[string]string{"code": code, "message": "taskcluster-proxy of this task: " + message})
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a client that is gone needs no answer
}

var (
	errStalled = errors.New("no byte moved for too long")
	errInside  = errors.New("the name leads to this machine or its link")
)

// explain answers a request that got no answer.
func explain(w http.ResponseWriter, r *http.Request, t target, err error) {
	var r1 *refusal
	timeout := net.Error(nil)
	where := t.scheme + "://" + t.host
	switch {
	case errors.As(err, &r1):
		Refuse(w, r1.status, r1.code, r1.message)
	case errors.Is(context.Cause(r.Context()), errStalled):
		Refuse(w, http.StatusGatewayTimeout, "Timeout", "no byte moved between the task and "+where+" for too long; the request was given up")
	case errors.Is(err, errInside):
		Refuse(w, http.StatusForbidden, "InvalidTarget", t.host+" leads to this machine or its link; call that directly")
	case errors.As(err, &timeout) && timeout.Timeout():
		Refuse(w, http.StatusGatewayTimeout, "Timeout", where+" did not answer in time; try again if the request may be made twice")
	default:
		Refuse(w, http.StatusBadGateway, "UpstreamError", where+" cannot be reached or broke off; try again if the request may be made twice: "+plainError(err))
	}
}

// plainError is the innermost text of a network error.
func plainError(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return err.Error()
}
