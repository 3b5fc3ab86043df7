package mark

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Mark tells the processes of one command from all others; 0 is none.
//
// It is a limit without effect, on the time a real-time process may compute
// without a pause, of half a million years. Children inherit it, exec keeps it
// and zombies show it: it finds those that clear their environment and leave
// every group.
type Mark uint64

// least is below every mark and above every limit that means something.
const least = 1 << 62

// patience is how long a start waits for its turn; others take a millisecond, or
// much longer if a program's disk hangs. On a busy machine it is worth waiting:
// what a command starts before it has its mark has none.
const patience = time.Second

// Marker marks the commands that this process starts. To be there from the
// first moment, the limit is set on this process itself while it starts the
// command, and only while no other start is going on that could inherit it: the
// others wait for their turn or, if one hangs, take its mark off this process
// and give their own a moment after they have started. On 32-bit kernels, where
// the number is too large, nothing is marked.
type Marker struct {
	base uint64        // what all marks of this process have in common
	turn chan struct{} // full while a start has its turn

	mu       sync.Mutex
	count    uint32      // of marks
	unmarked int         // starts going on out of turn
	stuck    bool        // the start that has its turn takes too long
	set      bool        // this process's own limit is somebody's mark
	was      unix.Rlimit // what that limit was before
}

// New returns the marker of this process. There should be one.
func New() *Marker {
	return &Marker{base: least | uint64(os.Getpid())<<32, turn: make(chan struct{}, 1)}
}

// Next returns a mark that no other command has.
func (m *Marker) Next() Mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count++
	return Mark(m.base | uint64(m.count))
}

// Begin marks what is started before end is called, if that can be done without
// marking anything else. It waits a second for another start to end, unless
// that has kept others waiting already.
func (m *Marker) Begin(as Mark) (end func()) {
	select {
	case m.turn <- struct{}{}:
	case <-time.After(m.patience()):
		return m.outOfTurn()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unmarked == 0 && unix.Prlimit(0, unix.RLIMIT_RTTIME, nil, &m.was) == nil && m.was.Cur >= least {
		m.set = unix.Prlimit(0, unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: uint64(as), Max: m.was.Max}, nil) == nil
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.unset()
		m.stuck = false
		<-m.turn
	}
}

func (m *Marker) patience() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stuck {
		return 0
	}
	return patience
}

// outOfTurn lets a start begin beside another one: neither is marked.
func (m *Marker) outOfTurn() (end func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unset()
	m.stuck = true
	m.unmarked++
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.unmarked--
	}
}

// unset takes the mark off this process.
func (m *Marker) unset() {
	if m.set {
		_ = unix.Prlimit(0, unix.RLIMIT_RTTIME, &m.was, nil)
		m.set = false
	}
}

// Give marks a process that was started and has none of this marker's marks.
func (m *Marker) Give(pid int, as Mark) {
	var now unix.Rlimit
	if m.Of(pid) == 0 && unix.Prlimit(pid, unix.RLIMIT_RTTIME, nil, &now) == nil && now.Cur >= least {
		_ = unix.Prlimit(pid, unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: uint64(as), Max: now.Max}, nil)
	}
}

// Of returns what marks a process, or 0. The mark of another worker, which
// descends from this one or the reverse, is none.
func (m *Marker) Of(pid int) Mark {
	var limit unix.Rlimit
	if unix.Prlimit(pid, unix.RLIMIT_RTTIME, nil, &limit) != nil || limit.Cur>>32 != m.base>>32 {
		return 0
	}
	return Mark(limit.Cur)
}
