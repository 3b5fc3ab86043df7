package disk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/taskcluster/generic-worker/internal/queue"
)

var (
	// ErrClosed says that the store is closed.
	ErrClosed = errors.New("the queue is closed")

	bucketSettings = []byte("settings") // name -> string
	bucketDue      = []byte("due")      // moment, JSON of event -> nothing
	bucketEntries  = []byte("entries")  // kind, name -> Entry
)

const (
	fileName    = "queue.db"
	lockTimeout = time.Second
	maxBatch    = 512
)

// write is one change that waits for the next commit.
type write struct {
	apply func(*bbolt.Tx) error
	done  chan error
}

// openDatabase opens the database of a directory that no other process uses.
func openDatabase(dir string, buckets [][]byte) (*bbolt.DB, error) {
	path := filepath.Join(dir, fileName)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, fmt.Errorf("another generic-worker is using queue directory %s; stop it or choose another directory", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open queue database %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range append(buckets, bucketSettings, bucketDue, bucketEntries) {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot prepare queue database %s: %w", path, err), db.Close())
	}
	return db, nil
}

// Update applies a change and returns when it is on disk. A change that
// refuses, with a *queue.Error, must do so before it writes anything.
func (s *Store) Update(ctx context.Context, apply func(*bbolt.Tx) error) error {
	w := &write{apply: apply, done: make(chan error, 1)}
	select {
	case s.writes <- w:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.closing:
		return ErrClosed
	}
	// From here the change happens: wait for its outcome whatever ctx says,
	// so that nobody takes an applied change for one that was not.
	select {
	case err := <-w.done:
		return err
	case <-s.stopped:
		select {
		case err := <-w.done:
			return err
		default:
			return ErrClosed
		}
	}
}

// View reads a consistent state of the database.
func (s *Store) View(read func(*bbolt.Tx) error) error {
	err := s.db.View(read)
	if errors.Is(err, bbolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// commit writes changes until the ledger closes. While one commit is on its
// way to the disk, the changes for the next one gather.
func (s *Store) commit() {
	for {
		var batch []*write
		select {
		case w := <-s.writes:
			batch = append(batch, w)
		case <-s.closing:
			return
		}
		for gathering := true; gathering && len(batch) < maxBatch; {
			select {
			case w := <-s.writes:
				batch = append(batch, w)
			default:
				gathering = false
			}
		}
		s.commitBatch(batch)
	}
}

func (s *Store) commitBatch(batch []*write) {
	outcomes := make([]error, len(batch))
	err := s.db.Update(func(tx *bbolt.Tx) error {
		for i, w := range batch {
			outcomes[i] = contain(w.apply, tx)
			if outcomes[i] != nil && !isRefusal(outcomes[i]) {
				return outcomes[i] // what it wrote must not stay
			}
		}
		return nil
	})
	s.committed(err == nil)
	if err != nil && len(batch) > 1 {
		for _, w := range batch {
			s.commitBatch([]*write{w})
		}
		return
	}
	for i, w := range batch {
		if err != nil {
			outcomes[i] = err
		}
		w.done <- outcomes[i]
	}
}

func isRefusal(err error) bool {
	_, refusal := errors.AsType[*queue.Error](err)
	return refusal
}

// contain turns a panic of one change into an error of that change.
func contain(apply func(*bbolt.Tx) error, tx *bbolt.Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("disk: internal error: %v\n%s", r, debug.Stack())
		}
	}()
	return apply(tx)
}

// Get reads a JSON value; it returns false if there is none.
func Get(tx *bbolt.Tx, bucket, key []byte, value any) (bool, error) {
	text := tx.Bucket(bucket).Get(key)
	if text == nil {
		return false, nil
	}
	if err := json.Unmarshal(text, value); err != nil {
		return false, fmt.Errorf("cannot read %s %q from the queue database: %w", bucket, key, err)
	}
	return true, nil
}

// Put writes a value as JSON.
func Put(tx *bbolt.Tx, bucket, key []byte, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("cannot encode %s %q for the queue database: %w", bucket, key, err)
	}
	if err := tx.Bucket(bucket).Put(key, text); err != nil {
		return fmt.Errorf("cannot write %s %q to the queue database: %w", bucket, key, err)
	}
	return nil
}

// Store is an open file of records. Its methods may be called concurrently.
type Store struct {
	db        *bbolt.DB
	happens   func(*bbolt.Tx, Event, time.Time) error
	tell      func(ok bool)
	log       *slog.Logger
	writes    chan *write
	closing   chan struct{}
	stopped   chan struct{}
	due       chan struct{} // says that events were added
	added     bool          // in the commit under way
	closeOnce sync.Once
	closeErr  error
}

// Open opens the store of an existing directory, which one process can have at
// a time, with the buckets that its user needs. Nothing happens in it before
// Start.
func Open(dir string, log *slog.Logger, buckets ...[]byte) (*Store, error) {
	db, err := openDatabase(dir, buckets)
	if err != nil {
		return nil, err
	}
	return &Store{
		db: db, log: log,
		writes: make(chan *write), closing: make(chan struct{}), stopped: make(chan struct{}), due: make(chan struct{}, 1),
	}, nil
}

// Start lets changes and events happen. happens applies a due event within a
// commit; it must ignore events that turn out to be outdated. committed is
// called after every commit; ok is false if its changes did not happen. One
// goroutine runs all changes and both functions.
func (s *Store) Start(happens func(*bbolt.Tx, Event, time.Time) error, committed func(ok bool)) {
	s.happens, s.tell = happens, committed
	var loops sync.WaitGroup
	loops.Go(s.commit)
	loops.Go(s.watchClock)
	go func() {
		loops.Wait()
		close(s.stopped)
	}()
}

// Close waits for the commit under way and releases the directory. Calls
// that come later end with ErrClosed.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		<-s.stopped
		s.closeErr = s.db.Close()
	})
	return s.closeErr
}

// Closing returns a channel that is closed when the store begins to close.
func (s *Store) Closing() <-chan struct{} { return s.closing }

func (s *Store) committed(ok bool) {
	if s.added && ok {
		select {
		case s.due <- struct{}{}:
		default:
		}
	}
	s.added = false
	s.tell(ok)
}
