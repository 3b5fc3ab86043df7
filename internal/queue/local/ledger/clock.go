package ledger

import (
	"time"

	"go.etcd.io/bbolt"

	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
)

// Kinds of events.
const (
	claimExpires    = "claim"
	deadlinePasses  = "deadline"
	taskExpires     = "task"
	artifactExpires = "artifact"
	objectExpires   = "object"
)

// happen brings about what is due.
func (l *Ledger) happen(tx *bbolt.Tx, e disk.Event, now time.Time) error {
	switch e.Kind {
	case claimExpires:
		return l.expireClaim(tx, e, now)
	case deadlinePasses:
		return l.passDeadline(tx, e, now)
	case taskExpires:
		return l.expireTask(tx, e)
	case artifactExpires:
		return l.expireArtifact(tx, e)
	case objectExpires:
		return l.expireObject(tx, e)
	}
	return nil
}

func (l *Ledger) expireClaim(tx *bbolt.Tx, e disk.Event, now time.Time) error {
	t, err := l.load(tx, e.ID)
	if t == nil || err != nil {
		return err
	}
	run := t.latest()
	if run == nil || run.RunID != e.Run || run.State != running || moment(run.TakenUntil).UnixMilli() != e.At {
		return nil // resolved or reclaimed since
	}
	if !moment(t.Deadline).After(now) {
		return nil // the deadline resolves it
	}
	t.resolve(exception, "claim-expired", now)
	t.retry("retry", now)
	return l.save(tx, t)
}

func (l *Ledger) passDeadline(tx *bbolt.Tx, e disk.Event, now time.Time) error {
	t, err := l.load(tx, e.ID)
	if t == nil || err != nil || (t.State != unscheduled && !t.active()) {
		return err
	}
	t.stop("deadline-exceeded", now)
	return l.save(tx, t)
}
