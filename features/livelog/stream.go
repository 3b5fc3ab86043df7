package livelog

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskcluster/generic-worker/internal/task"
)

const (
	// remembered is how many ended runs are told from wrong tokens.
	remembered = 256
	// maxReaders bounds the memory of all readers together.
	maxReaders = 2048
	// stuckAfter drops a reader that took not even one piece in this time.
	stuckAfter = 10 * time.Minute
)

// key is the hash of a token. Looking it up takes a time that tells nothing
// about the tokens there are.
type key [sha256.Size]byte

// stream is the log of one run.
type stream struct {
	key      key
	log      *task.Log
	patience time.Duration
	complete atomic.Bool // the log is closed
	ended    atomic.Pointer[time.Time]
}

// deadline is when a write to a reader must be done: it has patience for each,
// but not for ever once the run is over.
func (s *stream) deadline() time.Time {
	deadline := time.Now().Add(s.patience)
	if ended := s.ended.Load(); ended != nil {
		if last := ended.Add(s.patience); last.Before(deadline) {
			return last
		}
	}
	return deadline
}

// streams are the logs of all runs.
type streams struct {
	pace     pace
	room     int           // for readers
	patience time.Duration // with each

	mu      sync.Mutex
	running map[key]*stream
	over    map[key]bool
	order   []key // of over, oldest first
	readers int
}

func newStreams() *streams {
	return &streams{room: maxReaders, patience: stuckAfter, running: map[key]*stream{}, over: map[key]bool{}}
}

func (s *streams) open(token string, log *task.Log) *stream {
	one := &stream{key: sha256.Sum256([]byte(token)), log: log, patience: s.patience}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[one.key] = one
	return one
}

// end forgets the log of a run, but not at once that there was one.
func (s *streams) end(one *stream) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[one.key] != one {
		return
	}
	one.complete.Store(true)
	one.ended.Store(&now)
	delete(s.running, one.key)
	s.over[one.key] = true
	s.order = append(s.order, one.key)
	if len(s.order) > remembered {
		delete(s.over, s.order[0])
		s.order = s.order[1:]
	}
}

// find returns the log for a token, or whether there was one.
func (s *streams) find(token string) (one *stream, over bool) {
	key := key(sha256.Sum256([]byte(token)))
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[key], s.over[key]
}

// enter counts a reader in, if there is room for one.
func (s *streams) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readers >= s.room {
		return false
	}
	s.readers++
	return true
}

func (s *streams) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers--
}

const (
	// paceRate, in bytes per second, is what all readers together take of logs
	// that still grow: enough for many people, a small part of one processor.
	paceRate  = 64 << 20
	paceBurst = 4 << 20
)

// pace spreads the work for all readers over time.
type pace struct {
	mu   sync.Mutex
	next time.Time
}

// reserve returns how long to wait before n more bytes are read.
func (p *pace) reserve(now time.Time, n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if idle := now.Add(-time.Second * paceBurst / paceRate); p.next.Before(idle) {
		p.next = idle
	}
	p.next = p.next.Add(time.Second * time.Duration(n) / paceRate)
	return max(0, p.next.Sub(now))
}
