package queuetest

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/taskcluster/taskcluster/v44/clients/client-go/tcpurgecache"
)

// FakeOptions describes a Fake. Zero fields have the stated defaults.
type FakeOptions struct {
	Listen         string        // address to listen on: 127.0.0.1:0
	LongPoll       time.Duration // how long an empty claimWork is held: 20 s
	Lease          time.Duration // of a claim or reclaim: 20 min
	CredentialsTTL time.Duration // of a claim's credentials: 5 min longer than the lease
	PutURLTTL      time.Duration // of an upload address: 45 min
	Skew           time.Duration // how far this queue's clock is ahead of the machine's
	PageSize       int           // entries on a page of a list: 1000
	KeepBodies     int           // bytes kept of each artifact, so that it can be read back: 1 MiB; negative: none
	NoHash         bool          // leave Stored.SHA256 empty
	Seed           uint64        // of faults that have a Chance
}

// Fake is a Taskcluster queue with its artifact storage in memory, on a real
// socket, with faults on demand and a ledger of all that it saw. It follows the
// queue's rules for claims, leases, resolutions and artifacts but checks no
// signature and no schema: whoever names himself may do anything, except that
// a claim's credentials serve only their run until they expire.
type Fake struct {
	URL string // the root URL, without trailing slash

	o      FakeOptions
	routes map[string]endpoint
	server *http.Server
	served chan struct{} // closed when the server has ended
	closed chan struct{} // closed when it shall end

	mu         sync.Mutex
	tasks      map[string]*fakeTask
	groups     map[string][]*fakeTask // in order of creation
	dependents map[string][]*fakeTask // by the task they wait for
	pending    map[string][]*fakeRun  // by task queue, most urgent first
	wake       chan struct{}          // closed when a run becomes pending
	objects    map[string]*object     // by storage key
	issued     map[string]time.Time   // expiry of credentials, by client id
	indexed    map[string]string      // task ids by namespace
	roles      map[string][]string    // scopes by role
	purges     []tcpurgecache.PurgeCacheRequestsEntry
	faults     []activeFault
	random     *rand.Rand
	calls      []Call
	violations []string
	changed    chan struct{} // closed at the next change if someone waits
	waiting    int
}

// Call is one request, as the ledger shows it.
type Call struct {
	At       time.Time
	Took     time.Duration // zero until it ended
	Method   string
	Endpoint string // API method; putData and getData for storage; empty if unknown
	TaskID   string
	RunID    int // -1 if the call names none
	Name     string
	ClientID string // of its Authorization header
	Status   int    // as the queue decided, even if a fault kept the answer back; zero until then
	Bytes    int64  // of the request's body that arrived
	Fault    FaultKind
}

// NewFake starts a fake queue. Close ends it.
func NewFake(o FakeOptions) (*Fake, error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	byDefault(&o.LongPoll, 20*time.Second)
	byDefault(&o.Lease, 20*time.Minute)
	byDefault(&o.CredentialsTTL, o.Lease+5*time.Minute)
	byDefault(&o.PutURLTTL, 45*time.Minute)
	byDefault(&o.PageSize, 1000)
	byDefault(&o.KeepBodies, 1<<20)
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot start fake queue: %w", err)
	}
	f := &Fake{
		URL: "http://" + listener.Addr().String(), o: o,
		served: make(chan struct{}), closed: make(chan struct{}),
		tasks: make(map[string]*fakeTask), groups: make(map[string][]*fakeTask), dependents: make(map[string][]*fakeTask),
		pending: make(map[string][]*fakeRun), objects: make(map[string]*object), indexed: make(map[string]string), roles: make(map[string][]string),
		issued: make(map[string]time.Time), wake: make(chan struct{}), changed: make(chan struct{}),
		random: rand.New(rand.NewPCG(o.Seed, o.Seed)),
	}
	f.routes = f.endpoints()
	f.server = &http.Server{
		Handler: f, ReadHeaderTimeout: time.Minute,
		ErrorLog: log.New(discard{}, "", 0),
	}
	go func() {
		defer close(f.served)
		_ = f.server.Serve(listener) // ends with Close
	}()
	return f, nil
}

// StartFake starts a fake queue that ends with the test.
func StartFake(t testing.TB, o FakeOptions) *Fake {
	t.Helper()
	f, err := NewFake(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// Close drops all connections and forgets all leases and deadlines.
func (f *Fake) Close() {
	f.mu.Lock()
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
	for _, task := range f.tasks {
		task.stopTimers()
	}
	f.mu.Unlock()
	_ = f.server.Close() // only tells that connections were still open
	<-f.served
}

// Calls returns the ledger.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Violations returns what a well-behaved worker never does: expired or foreign
// credentials used, unknown endpoints called, a run reported twice with
// different outcomes, lengths or hashes announced that are not those received.
func (f *Fake) Violations() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.violations)
}

func (f *Fake) violate(format string, args ...any) {
	f.violations = append(f.violations, fmt.Sprintf(format, args...))
}

// WaitCalls waits until the ledger satisfies done, which is asked again after
// every change.
func (f *Fake) WaitCalls(ctx context.Context, done func([]Call) bool) error {
	return f.wait(ctx, func() bool { return done(f.calls) })
}

// wait waits until done, which is asked under the lock.
func (f *Fake) wait(ctx context.Context, done func() bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting++
	defer func() { f.waiting-- }()
	for !done() {
		changed := f.changed
		f.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-f.closed:
			err = fmt.Errorf("cannot wait: fake queue is closed")
		}
		f.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// notify tells those who wait that something changed.
func (f *Fake) notify() {
	if f.waiting > 0 {
		close(f.changed)
		f.changed = make(chan struct{})
	}
}

// now is the time by this queue's clock.
func (f *Fake) now() time.Time { return time.Now().Add(f.o.Skew) }

func byDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
