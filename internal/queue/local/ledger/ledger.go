package ledger

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
)

// Buckets of the database.
var (
	bucketDefinitions = []byte("definitions") // taskId -> definition
	bucketTasks       = []byte("tasks")       // taskId -> Task
	bucketGroups      = []byte("groups")      // taskGroupId -> schedulerId
	bucketMembers     = []byte("members")     // taskGroupId, sequence -> taskId
	bucketCreated     = []byte("created")     // sequence -> taskId
	bucketPending     = []byte("pending")     // taskQueueId, priority, sequence -> taskId
	bucketDependents  = []byte("dependents")  // taskId, dependent taskId -> nothing
	bucketBlocked     = []byte("blocked")     // taskId, required taskId -> nothing
	bucketArtifacts   = []byte("artifacts")   // taskId, runId, name -> Artifact
	bucketObjects     = []byte("objects")     // name -> Object
)

// Options say how a Ledger is kept.
type Options struct {
	Dir string
	// ClaimTimeout is how long a claim lasts unless it is renewed.
	ClaimTimeout time.Duration
	Log          *slog.Logger
	// Dropped is called for each stored content that no artifact refers to
	// any more, after the change is on disk.
	Dropped func(content string)
}

// Ledger keeps the tasks of one directory. Its methods may be called
// concurrently. Refusals are *queue.Error without the name of the call.
type Ledger struct {
	store        *disk.Store
	claimTimeout time.Duration
	dropped      func(string)

	// news is what the commit under way has to tell; only its goroutine touches it.
	news news

	mu sync.Mutex
	// arrivals has, per task queue, a channel closed when a task becomes pending.
	arrivals map[string]chan struct{}
	hurry    context.Context // done when claims no longer wait for a task
	// EndPolls makes claims that wait for a task return without one from now on.
	EndPolls func()
}

// news is what others must learn once a commit is on disk.
type news struct {
	queues  []string // a task became pending there
	dropped []string // contents that nothing refers to any more
}

// Open opens the ledger of a directory, which one process can have at a time.
func Open(o Options) (*Ledger, error) {
	l := &Ledger{claimTimeout: o.ClaimTimeout, dropped: o.Dropped, arrivals: map[string]chan struct{}{}}
	l.hurry, l.EndPolls = context.WithCancel(context.Background())
	var err error
	l.store, err = disk.Open(
		o.Dir, o.Log, bucketDefinitions, bucketTasks, bucketGroups, bucketMembers, bucketCreated, bucketPending,
		bucketDependents, bucketBlocked, bucketArtifacts, bucketObjects,
	)
	if err != nil {
		return nil, err
	}
	l.store.Start(l.happen, l.announce)
	return l, nil
}

// Close waits for the commit under way and releases the directory. Calls
// that come later, and long polls, end with an error.
func (l *Ledger) Close() error { return l.store.Close() }

// Store returns where the ledger is kept, for what others keep beside it.
func (l *Ledger) Store() *disk.Store { return l.store }

// announce tells the news of a commit if it reached the disk.
func (l *Ledger) announce(committed bool) {
	news := l.news
	l.news.queues, l.news.dropped = nil, nil
	if !committed {
		return
	}
	l.mu.Lock()
	for _, q := range news.queues {
		if arrival, waited := l.arrivals[q]; waited {
			close(arrival)
			delete(l.arrivals, q)
		}
	}
	l.mu.Unlock()
	for _, content := range news.dropped {
		l.dropped(content)
	}
}

// arrival returns a channel that is closed when a task becomes pending in
// the queue.
func (l *Ledger) arrival(taskQueueID string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, waited := l.arrivals[taskQueueID]
	if !waited {
		c = make(chan struct{})
		l.arrivals[taskQueueID] = c
	}
	return c
}

// sequenced returns a key that sorts after those with smaller numbers.
func sequenced(prefix string, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefix), n)
}

// refuse makes the error by which a call is answered; its class is the code's.
func refuse(code, format string, args ...any) error {
	return &queue.Error{Status: statuses[code], Code: code, Message: fmt.Sprintf(format, args...)}
}

// Codes of refusals, and the HTTP status of each.
const (
	notFound = "ResourceNotFound"
	conflict = "RequestConflict"
	badInput = "InputError"
)

var statuses = map[string]int{notFound: 404, conflict: 409, badInput: 400}
