package mounts

import (
	"sync"

	"github.com/taskcluster/generic-worker/internal/task"
)

// lines are what the log tells about one mount. They are held back until it is
// the mount's turn. Methods may be called concurrently.
type lines struct {
	log *task.Log

	mu   sync.Mutex
	turn bool
	held []func()
}

func (l *lines) info(format string, args ...any)  { l.line(l.log.Info, format, args...) }
func (l *lines) warn(format string, args ...any)  { l.line(l.log.Warn, format, args...) }
func (l *lines) error(format string, args ...any) { l.line(l.log.Error, format, args...) }

func (l *lines) line(write func(string, ...any), format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.turn {
		write("[mounts] "+format, args...)
		return
	}
	l.held = append(l.held, func() { write("[mounts] "+format, args...) })
}

// begin writes what was held back; from now on nothing is.
func (l *lines) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, write := range l.held {
		write()
	}
	l.held, l.turn = nil, true
}
