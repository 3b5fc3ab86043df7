package disk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"go.etcd.io/bbolt"

	"github.com/taskcluster/generic-worker/internal/queue"
)

// entryExpires is the kind of the event that removes an entry.
const entryExpires = "entry"

// Entry is something small that another service keeps under a name.
type Entry struct {
	Name    string          `json:"name"`
	Value   json.RawMessage `json:"value"`
	Expires tcclient.Time   `json:"expires"`
}

func entryKey(kind, name string) []byte { return []byte(kind + "\x00" + name) }

// ChangeEntry replaces the entry of a kind and name by what change returns
// for it, or removes it when that is nil. The entry given is nil if there is
// none.
func (s *Store) ChangeEntry(ctx context.Context, kind, name string, change func(*Entry) (*Entry, error)) error {
	return s.Update(ctx, func(tx *bbolt.Tx) error {
		key := entryKey(kind, name)
		var old *Entry
		var e Entry
		found, err := Get(tx, bucketEntries, key, &e)
		if err != nil {
			return err
		}
		if found && time.Time(e.Expires).After(time.Now()) {
			old = &e
		}
		changed, err := change(old)
		if err != nil {
			return err
		}
		if changed == nil {
			return tx.Bucket(bucketEntries).Delete(key)
		}
		changed.Name = name
		if err := s.Schedule(tx, changed.Expires, Event{Kind: entryExpires, ID: name, More: kind}); err != nil {
			return err
		}
		return Put(tx, bucketEntries, key, changed)
	})
}

// Entry returns the entry of a kind and name.
func (s *Store) Entry(kind, name string) (Entry, error) {
	var e Entry
	err := s.View(func(tx *bbolt.Tx) error {
		found, err := Get(tx, bucketEntries, entryKey(kind, name), &e)
		if err == nil && (!found || !time.Time(e.Expires).After(time.Now())) {
			err = &queue.Error{Status: 404, Code: "ResourceNotFound", Message: fmt.Sprintf("there is no %s %q here", kind, name)}
		}
		return err
	})
	return e, err
}

// Entries lists a page of the entries of a kind whose names have a prefix.
func (s *Store) Entries(kind, prefix string, page Page) (entries []Entry, next string, err error) {
	err = s.View(func(tx *bbolt.Tx) error {
		var bad error
		next = Walk(tx.Bucket(bucketEntries), entryKey(kind, prefix), page, func(_, value []byte) {
			var e Entry
			bad = json.Unmarshal(bytes.Clone(value), &e)
			if bad == nil && time.Time(e.Expires).After(time.Now()) {
				entries = append(entries, e)
			}
		})
		return bad
	})
	return entries, next, err
}

func expireEntry(tx *bbolt.Tx, e Event) error {
	key := entryKey(e.More, e.ID)
	var entry Entry
	found, err := Get(tx, bucketEntries, key, &entry)
	if !found || err != nil || time.Time(entry.Expires).UnixMilli() != e.At {
		return err
	}
	return tx.Bucket(bucketEntries).Delete(key)
}

// Setting returns the value kept under a name, storing the one that make
// gives if there is none yet.
func (s *Store) Setting(ctx context.Context, name string, make func() string) (string, error) {
	var value string
	err := s.Update(ctx, func(tx *bbolt.Tx) error {
		found, err := Get(tx, bucketSettings, []byte(name), &value)
		if found || err != nil {
			return err
		}
		value = make()
		return Put(tx, bucketSettings, []byte(name), value)
	})
	return value, err
}
