package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue/local/blob"
	"github.com/taskcluster/generic-worker/internal/queue/local/hawk"
	"github.com/taskcluster/generic-worker/internal/queue/local/ledger"
	"github.com/taskcluster/generic-worker/internal/queue/local/storage"
)

// Defaults of Options.
const (
	defaultClaimTimeout = 20 * time.Minute
	defaultLongPoll     = 20 * time.Second
	defaultMaxUpload    = 50 << 30
)

// issuerID is the client that signs the credentials of claims and uploads.
const issuerID = "static/taskcluster/queue"

// Options say how a Queue is kept. Only Dir is required.
type Options struct {
	// Dir is the directory that holds everything; it is created if needed.
	Dir string
	// RootURL begins the URLs that calls in process return; over HTTP, the
	// address by which the client came does.
	RootURL string
	// ClaimTimeout is how long a claim lasts unless it is renewed; 20 minutes.
	ClaimTimeout time.Duration
	// LongPoll is how long a claim waits for a task; 20 seconds.
	LongPoll time.Duration
	// MaxUpload is the largest artifact accepted, in bytes; 50 GiB.
	MaxUpload int64
	// Log tells the operator what goes wrong inside; nothing if nil.
	Log *slog.Logger
}

// Queue is an open queue. Its methods may be called concurrently. Those of a
// queue's API have all rights; their refusals are *queue.Error.
type Queue struct {
	options  Options
	ledger   *ledger.Ledger
	storage  *storage.Storage
	verifier *hawk.Verifier
	clients  map[string]hawk.Client
	fetch    *http.Client // gets what references point to
}

// Open opens the queue of a directory. One process can have it open at a
// time; for another one the error says so.
func Open(options Options) (*Queue, error) {
	options = withDefaults(options)
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot create queue directory: %w", err)
	}
	blobs := blob.New(filepath.Join(options.Dir, "artifacts"))
	l, err := ledger.Open(ledger.Options{
		Dir:          options.Dir,
		ClaimTimeout: options.ClaimTimeout,
		Log:          options.Log,
		Dropped: func(content string) {
			if err := blobs.Remove(content); err != nil {
				options.Log.Warn("cannot remove the bytes of an expired artifact", "error", err)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	q := &Queue{options: options, ledger: l, fetch: newFetcher()}
	if err := q.prepare(blobs); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return q, nil
}

func withDefaults(o Options) Options {
	if o.ClaimTimeout == 0 {
		o.ClaimTimeout = defaultClaimTimeout
	}
	if o.LongPoll == 0 {
		o.LongPoll = defaultLongPoll
	}
	if o.MaxUpload == 0 {
		o.MaxUpload = defaultMaxUpload
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func (q *Queue) prepare(blobs *blob.Store) error {
	ctx := context.Background()
	key, err := q.ledger.Store().Setting(ctx, "url-key", newToken)
	if err != nil {
		return err
	}
	q.storage, err = storage.Open(storage.Options{
		Blobs: blobs, Ledger: q.ledger, Key: key, MaxUpload: q.options.MaxUpload, Log: q.options.Log,
	})
	if err != nil {
		return err
	}
	issuerToken, err := q.ledger.Store().Setting(ctx, "issuer-token", newToken)
	if err != nil {
		return err
	}
	if q.clients, err = loadClients(q.options.Dir); err != nil {
		return err
	}
	q.clients[issuerID] = hawk.Client{ID: issuerID, AccessToken: issuerToken, Scopes: []string{"*"}}
	q.verifier = hawk.NewVerifier(func(id string) (hawk.Client, bool) {
		c, known := q.clients[id]
		return c, known
	}, anonymousScopes[:])
	return nil
}

// EndPolls makes claims that wait for a task return without one, now and from
// now on: for a worker in the same process that is about to stop.
func (q *Queue) EndPolls() { q.ledger.EndPolls() }

// Close ends what waits in the queue and releases its directory.
func (q *Queue) Close() error {
	q.fetch.CloseIdleConnections()
	if err := q.ledger.Close(); err != nil {
		return fmt.Errorf("cannot close the queue: %w", err)
	}
	return nil
}

// newToken returns a secret that cannot be guessed.
func newToken() string { return rand.Text() + rand.Text() }

// anonymousScopes are what every caller has.
var anonymousScopes = [...]string{
	"assume:anonymous",
	"auth:current-scopes",
	"auth:expand-scopes",
	"index:find-task:*",
	"index:list-namespaces:*",
	"index:list-tasks:*",
	"queue:get-artifact:public/*",
	"queue:get-task:*",
	"queue:list-artifacts:*",
	"queue:list-dependent-tasks:*",
	"queue:list-task-group:*",
	"queue:pending-count:*",
	"queue:status:*",
}
