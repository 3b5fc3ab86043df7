package inputs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcobject"

	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
)

// Source asks a deployment. Its methods may be called concurrently. Their
// errors are *Error, or the cause of a done ctx.
type Source struct {
	// Client makes the calls. Its own credentials ask for purge requests only.
	Client *queue.Client
	// TaskQueueID is the pool whose purge requests are asked for.
	TaskQueueID string
}

// maxLinks bounds the way from an artifact to the one that it stands for.
const maxLinks = 10

// Artifact returns an address of the content of an artifact of a task's latest
// run, which may have expired half an hour later. Credentials are asked for
// before every attempt. An artifact that stands for an error is an *Error with
// its reason and message.
func (s Source) Artifact(ctx context.Context, credentials func() queue.Credentials, taskID, name string) (string, error) {
	address, err := s.artifact(ctx, credentials, taskID, name)
	return address, explain(ctx, err, fmt.Sprintf("artifact %q of task %s", name, taskID), "queue:get-artifact:"+name)
}

// content is where an artifact's content is, by storage type.
type content struct {
	StorageType string
	URL         string            // of s3 and reference
	Artifact    string            // of link, which newer queues follow themselves
	Name        string            // of object
	Credentials objectCredentials // of object
	Reason      string            // of error
	Message     string            // of error
}

type objectCredentials struct{ ClientID, AccessToken, Certificate string }

func (s Source) artifact(ctx context.Context, credentials func() queue.Credentials, taskID, name string) (string, error) {
	for range maxLinks + 1 {
		if taskID == "" || name == "" {
			return "", &Error{Err: errors.New("its name is empty")}
		}
		var at content
		err := s.Client.Ask(ctx, queue.Question{
			Call: "latestArtifact", Service: "queue", Method: http.MethodGet,
			Route: []string{"task", taskID, "artifact-content", name}, Credentials: credentials,
		}, decode(&at, func() bool { return at.StorageType != "" }))
		if err != nil {
			return "", err
		}
		switch at.StorageType {
		case "s3", "reference":
			return at.URL, nil
		case "object":
			return s.object(ctx, at)
		case "error":
			return "", &Error{Err: fmt.Errorf("it stands for an error of its task, %s: %s", at.Reason, at.Message), Reason: at.Reason}
		case "link":
			name = at.Artifact
		default:
			return "", &Error{Err: fmt.Errorf("this worker does not know its storage type, %q", at.StorageType), infrastructure: true}
		}
	}
	return "", &Error{Err: fmt.Errorf("it is more than %d links away", maxLinks)}
}

// object returns where the object service has an artifact's content.
func (s Source) object(ctx context.Context, at content) (string, error) {
	accept := map[string]any{"acceptDownloadMethods": tcobject.SupportedDownloadMethods{Simple: true}}
	body, err := json.Marshal(accept)
	if err != nil {
		return "", fmt.Errorf("cannot encode startDownload request: %w", err)
	}
	var found tcobject.SimpleDownloadResponse
	err = s.Client.Ask(ctx, queue.Question{
		Call: "startDownload", Service: "object", Method: http.MethodPut,
		Route: []string{"start-download", at.Name}, Body: body,
		Credentials: func() queue.Credentials {
			return queue.Credentials{
				ClientID:    at.Credentials.ClientID,
				AccessToken: mask.Secret(at.Credentials.AccessToken),
				Certificate: mask.Secret(at.Credentials.Certificate),
			}
		},
	}, decode(&found, func() bool { return found.Method == "simple" && found.URL != "" }))
	if err != nil && !errors.Is(err, queue.ErrNotFound) {
		// The queue chose these credentials and this object: only that the
		// object is gone has to do with the task.
		return "", &Error{Err: err, infrastructure: true}
	}
	return found.URL, err
}

// Indexed returns the task that is indexed under a namespace. Credentials are
// asked for before every attempt.
func (s Source) Indexed(ctx context.Context, credentials func() queue.Credentials, namespace string) (string, error) {
	what, scope := fmt.Sprintf("a task indexed as %q", namespace), "index:find-task:"+namespace
	if namespace == "" {
		return "", explain(ctx, &Error{Err: errors.New("the namespace is empty")}, what, scope)
	}
	var found struct{ TaskID string }
	err := s.Client.Ask(ctx, queue.Question{
		Call: "findTask", Service: "index", Method: http.MethodGet, Route: []string{"task", namespace}, Credentials: credentials,
	}, decode(&found, func() bool { return found.TaskID != "" }))
	return found.TaskID, explain(ctx, err, what, scope)
}

// Purge asks to drop the caches of a name that were made before a moment.
type Purge struct {
	CacheName string
	Before    time.Time
}

// Purges returns what was asked of the pool since a moment; the zero time means
// ever. Moments are by this machine's clock, but it may differ from the
// deployment's by 30 s unnoticed.
func (s Source) Purges(ctx context.Context, since time.Time) ([]Purge, error) {
	q := queue.Question{
		Call: "purgeRequests", Service: "purge-cache", Method: http.MethodGet, Route: []string{"purge-cache", s.TaskQueueID},
	}
	ahead := s.Client.ClockOffset()
	if !since.IsZero() {
		q.Query = url.Values{"since": {tcclient.Time(since.Add(ahead)).String()}}
	}
	var open struct {
		Requests []struct {
			CacheName string
			Before    time.Time
		}
	}
	err := s.Client.Ask(ctx, q, decode(&open, func() bool { return open.Requests != nil }))
	if err != nil {
		return nil, explain(ctx, &Error{Err: err, infrastructure: true}, "purge requests of "+s.TaskQueueID, "purge-cache:purge-requests::"+s.TaskQueueID)
	}
	purges := make([]Purge, len(open.Requests))
	for i, r := range open.Requests {
		purges[i] = Purge{CacheName: r.CacheName, Before: r.Before.Add(-ahead)}
	}
	return purges, nil
}

// decode reads an answer, which is none unless ok.
func decode[T any](into *T, ok func() bool) func([]byte) error {
	return func(answer []byte) error {
		var none T
		*into = none
		if err := json.Unmarshal(answer, into); err != nil {
			return err
		}
		if !ok() {
			return errors.New("it lacks what was asked for")
		}
		return nil
	}
}

// Error is why something was not found.
type Error struct {
	What   string // that was asked for
	Scope  string // that is needed to ask, if that may be the reason; the task, or its author, lacks it
	Reason string // of an artifact that stands for an error, such as file-missing-on-worker
	Err    error

	infrastructure bool
}

func (e *Error) Error() string {
	text := fmt.Sprintf("cannot find %s: %v", e.What, e.Err)
	if e.Scope != "" {
		text = strings.TrimRight(text, "\n") + "; it takes the scope " + e.Scope
	}
	return text
}

// Unwrap returns what happened.
func (e *Error) Unwrap() error { return e.Err }

// Infrastructure tells that asking again later may help. False means that
// whoever named what was asked for has to change something: it is not there, or
// may not be read, or stands for an error.
func (e *Error) Infrastructure() bool { return e.infrastructure }

// explain makes an *Error of a call's error.
func explain(ctx context.Context, err error, what, scope string) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Err: err, infrastructure: true}
		if refused, ok := errors.AsType[*queue.Error](err); ok {
			// Wrong credentials are the worker's fault, a missing scope is not.
			e.infrastructure = refused.Status == http.StatusUnauthorized || errors.Is(refused, queue.ErrUnavailable)
		}
	}
	e.What = what
	if refused, ok := errors.AsType[*queue.Error](e.Err); ok && refused.Status == http.StatusForbidden {
		e.Scope = scope
	}
	return e
}
