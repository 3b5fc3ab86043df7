package disk

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"go.etcd.io/bbolt"
)

// maxDue bounds the events of one commit.
const maxDue = 200

// Event is something that time brings about. What the fields but At mean is its kind's matter.
type Event struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`             // a taskId, or the key of the record
	Run  int    `json:"run,omitempty"`  // for claims
	At   int64  `json:"at"`             // milliseconds since 1970
	More string `json:"more,omitempty"` // what else the kind needs
}

// Schedule notes that the event happens at the given moment. An event that
// turns out to be outdated then is ignored.
func (s *Store) Schedule(tx *bbolt.Tx, at tcclient.Time, e Event) error {
	e.At = time.Time(at).UnixMilli()
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("cannot encode event %s of %s: %w", e.Kind, e.ID, err)
	}
	key := append(binary.BigEndian.AppendUint64(nil, uint64(e.At)), text...)
	s.added = true
	return tx.Bucket(bucketDue).Put(key, nil)
}

// watchClock lets due events happen until the ledger closes.
func (s *Store) watchClock() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-timer.C:
		case <-s.due:
		}
		next, err := s.happen()
		if errors.Is(err, ErrClosed) {
			return
		}
		if err != nil {
			s.log.Error("cannot resolve what is due in the queue", "error", err)
			next = time.Now().Add(time.Second)
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(max(0, time.Until(next)))
		}
	}
}

// happen applies what is due and returns when the next event is.
func (s *Store) happen() (time.Time, error) {
	for {
		var next time.Time
		err := s.View(func(tx *bbolt.Tx) error {
			if key, _ := tx.Bucket(bucketDue).Cursor().First(); key != nil {
				next = dueAt(key)
			}
			return nil
		})
		if err != nil || next.IsZero() || next.After(time.Now()) {
			return next, err
		}
		if err := s.Update(context.Background(), s.applyDue); err != nil {
			return time.Time{}, err
		}
	}
}

func dueAt(key []byte) time.Time { return time.UnixMilli(int64(binary.BigEndian.Uint64(key))) }

func (s *Store) applyDue(tx *bbolt.Tx) error {
	now := time.Now()
	var keys [][]byte
	c := tx.Bucket(bucketDue).Cursor()
	for key, _ := c.First(); key != nil && !dueAt(key).After(now) && len(keys) < maxDue; key, _ = c.Next() {
		keys = append(keys, append([]byte(nil), key...))
	}
	for _, key := range keys {
		if err := tx.Bucket(bucketDue).Delete(key); err != nil {
			return err
		}
		var e Event
		if err := json.Unmarshal(key[8:], &e); err != nil {
			return fmt.Errorf("cannot read an event from the queue database: %w", err)
		}
		if e.Kind == entryExpires {
			err := expireEntry(tx, e)
			if err != nil {
				return err
			}
		} else if err := s.happens(tx, e, now); err != nil {
			return err
		}
	}
	return nil
}
