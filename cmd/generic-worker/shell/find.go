package shell

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/features/interactive"
	"github.com/taskcluster/generic-worker/internal/queue"
)

const (
	// pause is how often a queue, which has no call that waits for that, is
	// asked whether there is a shell.
	pause = time.Second
	// soon is how long after its start a run should have its shell.
	soon = time.Minute
	// answerLimit bounds the wait for a queue that does not answer.
	answerLimit = 15 * time.Second
	// signed is how long the request for the link is valid, which forgives
	// clocks that differ.
	signed = 15 * time.Minute
)

// sought is the shell of a run.
type sought struct {
	client *queue.Client
	taskID string
	runID  int // -1 is the latest
	notice io.Writer
}

// find returns the address of the shell's websocket, if need be once there is
// one.
func find(ctx context.Context, s sought) (string, error) {
	if err := s.asked(ctx); err != nil {
		return "", err
	}
	var began time.Time
	for told := false; ; told = true {
		status, err := s.client.Status(ctx, s.taskID)
		if err != nil {
			return "", refused(err)
		}
		running, err := s.running(status)
		if err != nil {
			return "", err
		}
		if running && began.IsZero() {
			began = time.Now()
		}
		if running {
			if page, err := s.page(ctx, s.runOf(status)); page != nil || err != nil {
				return socketOf(page, err)
			}
			if time.Since(began) > soon {
				return "", none("the run has not published one; its log may say why")
			}
		}
		if !told {
			fmt.Fprintf(s.notice, "generic-worker: the task is %s and has no shell yet; waiting for it\n", status.State)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// asked tells whether the task wants a shell.
func (s sought) asked(ctx context.Context) error {
	definition, err := s.client.Task(ctx, s.taskID)
	if err != nil {
		return refused(err)
	}
	var doc struct {
		Payload struct {
			Features struct {
				Interactive any `json:"interactive"`
			} `json:"features"`
		} `json:"payload"`
	}
	_ = json.Unmarshal(definition, &doc) // what is malformed has no shell, either
	if wanted := doc.Payload.Features.Interactive; wanted == nil || wanted == false {
		return none("the task does not ask for one; create it with features: {interactive: true} in its payload")
	}
	return nil
}

func (s sought) runOf(status tcqueue.TaskStatusStructure) int {
	if s.runID >= 0 {
		return s.runID
	}
	return len(status.Runs) - 1
}

// running tells whether the run is running; it is an error if it never will.
func (s sought) running(status tcqueue.TaskStatusStructure) (bool, error) {
	unresolved := status.State == "unscheduled" || status.State == "pending" || status.State == "running"
	id := s.runOf(status)
	if id < 0 || id >= len(status.Runs) {
		if !unresolved || s.runID >= 0 && id > len(status.Runs) {
			return false, none("the task has no run %d", max(id, 0))
		}
		return false, nil
	}
	switch run := status.Runs[id]; run.State {
	case "running":
		return true, nil
	case "pending":
		return false, nil
	default:
		return false, none("run %d of the task has ended (%s), and its shell with it", id, run.State)
	}
}

// page returns where the artifact of the run leads to; nil if there is none yet.
func (s sought) page(ctx context.Context, runID int) (*url.URL, error) {
	own := s.client.Credentials()
	api := tcqueue.New(&tcclient.Credentials{
		ClientID: own.ClientID, AccessToken: string(own.AccessToken), Certificate: string(own.Certificate),
	}, s.client.RootURL)
	address, err := api.GetArtifact_SignedURL(s.taskID, strconv.Itoa(runID), interactive.Artifact, signed)
	if err != nil {
		return nil, exit.Errorf(exit.Usage, "cannot sign a request with these credentials: %w", err)
	}
	if own.ClientID == "" {
		address.RawQuery = "" // a signature by nobody
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, exit.Errorf(exit.Usage, "cannot ask the queue for the shell: its address is not valid")
	}
	client := &http.Client{
		Timeout:       answerLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if ctx.Err() != nil {
		return nil, context.Canceled
	}
	if broken, ok := errors.AsType[*url.Error](err); ok {
		err = broken.Err // without the address, which carries the signature
	}
	if err != nil {
		return nil, exit.Errorf(exit.Unavailable, "cannot ask the queue for the shell: %w", err)
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotFound:
		return nil, nil
	case response.StatusCode == http.StatusUnauthorized, response.StatusCode == http.StatusForbidden:
		return nil, exit.Errorf(exit.Refused, "the queue does not show you the shell (status %d); it takes the scope queue:get-artifact:%s", response.StatusCode, interactive.Artifact)
	case response.StatusCode >= http.StatusInternalServerError:
		return nil, exit.Errorf(exit.Unavailable, "cannot ask the queue for the shell: it answers with status %d; try again", response.StatusCode)
	}
	page, err := response.Location()
	if err != nil {
		return nil, none("the artifact %s does not lead anywhere (status %d)", interactive.Artifact, response.StatusCode)
	}
	return page, nil
}

// socketOf returns the websocket that a page would open.
func socketOf(page *url.URL, err error) (string, error) {
	if err != nil {
		return "", err
	}
	query := page.Query()
	socket, err := url.Parse(query.Get("socketUrl"))
	if err != nil || query.Get("v") != "2" || socket.Host == "" || (socket.Scheme != "ws" && socket.Scheme != "wss") {
		return "", none("the artifact %s does not lead to a shell that this version knows", interactive.Artifact)
	}
	return socket.String(), nil
}
