package queuetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcqueue"

	"github.com/taskcluster/generic-worker/internal/queue"
)

// Settings are what a test wants of the queue that it runs against. A zero
// field means as long as the real queue has it.
type Settings struct {
	// Lease is how long a claim lasts unless it is renewed.
	Lease time.Duration
	// LongPoll is how long a claim waits for a task.
	LongPoll time.Duration
}

// TestQueue states what a Taskcluster queue promises. Each promise gets an empty
// queue of its own from open, which closes it when its test ends; it makes the
// calls with credentials that may do everything.
func TestQueue(t *testing.T, open func(*testing.T, Settings) Queue) {
	t.Helper()
	testQueue(t, func(promise) bool { return true }, open)
}

// TestLaxQueue is TestQueue for a queue that accepts definitions and artifacts
// which do not fit the schema.
func TestLaxQueue(t *testing.T, open func(*testing.T, Settings) Queue) {
	t.Helper()
	testQueue(t, func(p promise) bool { return !p.strict }, open)
}

func testQueue(t *testing.T, counts func(promise) bool, open func(*testing.T, Settings) Queue) {
	t.Helper()
	for _, promises := range [][]promise{taskPromises(), runPromises(), artifactPromises()} {
		for _, p := range promises {
			if !counts(p) {
				continue
			}
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				settings := p.settings
				if settings.LongPoll == 0 {
					settings.LongPoll = shortPoll
				}
				p.holds(&suite{T: t, q: open(t, settings), ctx: t.Context(), inAnHour: tcclient.Time(time.Now().Add(time.Hour))})
			})
		}
	}
}

const (
	// shortPoll is for the promises that do not care how long a poll lasts.
	shortPoll = 10 * time.Millisecond
	// patience bounds every wait for something that is promised.
	patience = 30 * time.Second
)

// promise is one thing that a queue promises.
type promise struct {
	name     string
	settings Settings
	strict   bool // needs a queue that checks documents
	holds    func(*suite)
}

// suite is what one promise is tested with.
type suite struct {
	*testing.T
	q   Queue
	ctx context.Context // of this one test, as testing keeps it
	// inAnHour is when artifacts expire, the same moment throughout.
	inAnHour tcclient.Time
}

var anyWorker = queue.Worker{TaskQueueID: "proj-test/some-pool", WorkerGroup: "group", WorkerID: "worker"}

// fields are properties of a task definition; a nil value takes one away.
type fields map[string]any

// definition is a task definition with the given properties beside, or in
// place of, the least that is needed.
func (s *suite) definition(change fields) json.RawMessage {
	s.Helper()
	now := time.Now()
	d := fields{
		"taskQueueId": anyWorker.TaskQueueID,
		"created":     tcclient.Time(now),
		"deadline":    tcclient.Time(now.Add(time.Hour)),
		"payload":     fields{"command": [][]string{{"true"}}, "number": 1.5},
		"metadata": fields{
			"name": "a task", "description": "of a test", "owner": "nobody@example.com", "source": "https://example.com/",
		},
	}
	for name, value := range change {
		d[name] = value
		if value == nil {
			delete(d, name)
		}
	}
	text, err := json.Marshal(d)
	if err != nil {
		s.Fatal(err)
	}
	return text
}

// create makes a task and returns its id.
func (s *suite) create(change fields) string {
	s.Helper()
	id := slugid.Nice()
	if _, err := s.q.CreateTask(s.ctx, id, s.definition(change)); err != nil {
		s.Fatalf("createTask: %v", err)
	}
	return id
}

// claim takes the one task that is pending.
func (s *suite) claim() queue.Claim {
	s.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		claims, err := s.q.Claim(s.ctx, anyWorker, 1)
		if err != nil {
			s.Fatalf("claimWork: %v", err)
		}
		if len(claims) == 1 {
			return claims[0]
		}
	}
	s.Fatal("no task became pending")
	return queue.Claim{}
}

// claimed makes a task and claims it.
func (s *suite) claimed(change fields) queue.Claim {
	s.Helper()
	id := s.create(change)
	c := s.claim()
	if c.TaskID != id {
		s.Fatalf("claimed task %s, want %s", c.TaskID, id)
	}
	return c
}

func (s *suite) resolve(c queue.Claim, o queue.Outcome) {
	s.Helper()
	if err := s.q.Resolve(s.ctx, c, o); err != nil {
		s.Fatalf("reporting %v: %v", o, err)
	}
}

// run lets a task be claimed and resolved.
func (s *suite) run(o queue.Outcome) {
	s.Helper()
	s.resolve(s.claim(), o)
}

func (s *suite) status(taskID string) tcqueue.TaskStatusStructure {
	s.Helper()
	status, err := s.q.Status(s.ctx, taskID)
	if err != nil {
		s.Fatalf("status: %v", err)
	}
	return status
}

// story is a task's state and how its runs came to be and to end.
func (s *suite) story(taskID string) string {
	s.Helper()
	status := s.status(taskID)
	story := status.State
	for _, r := range status.Runs {
		story += fmt.Sprintf(" %s-%s", r.ReasonCreated, r.State)
		if r.ReasonResolved != "" {
			story += "/" + r.ReasonResolved
		}
	}
	return story
}

func (s *suite) wantStory(taskID, want string) {
	s.Helper()
	if got := s.story(taskID); got != want {
		s.Errorf("task is %q, want %q", got, want)
	}
}

// awaitStory waits until time has brought the task to the given state.
func (s *suite) awaitStory(taskID, want string) {
	s.Helper()
	deadline := time.Now().Add(patience)
	for s.story(taskID) != want {
		if time.Now().After(deadline) {
			s.Fatalf("task is still %q, want %q", s.story(taskID), want)
		}
		// An empty queue's long poll passes the time.
		if _, err := s.q.Claim(s.ctx, queue.Worker{TaskQueueID: "proj-test/nothing", WorkerGroup: "g", WorkerID: "w"}, 1); err != nil {
			s.Fatalf("claimWork: %v", err)
		}
	}
}

// wantStatus checks with which HTTP status a call was refused.
func (s *suite) wantStatus(call string, err error, want int) {
	s.Helper()
	refusal, is := errors.AsType[*queue.Error](err)
	if !is {
		s.Errorf("%s: %v, want a refusal with status %d", call, err, want)
	} else if refusal.Status != want {
		s.Errorf("%s: refused with %d (%s), want %d", call, refusal.Status, refusal.Message, want)
	}
}

func (s *suite) wantOK(call string, err error) {
	s.Helper()
	if err != nil {
		s.Errorf("%s: %v", call, err)
	}
}
