package disk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	"go.etcd.io/bbolt"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local/disk"
)

var bucket = []byte("things")

func open(t *testing.T, happens func(disk.Event)) *disk.Store {
	t.Helper()
	s, err := disk.Open(t.TempDir(), slog.New(slog.DiscardHandler), bucket)
	if err != nil {
		t.Fatal(err)
	}
	s.Start(func(_ *bbolt.Tx, e disk.Event, _ time.Time) error {
		happens(e)
		return nil
	}, func(bool) {})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func value(t *testing.T, s *disk.Store, key string) (n int) {
	t.Helper()
	err := s.View(func(tx *bbolt.Tx) error {
		_, err := disk.Get(tx, bucket, []byte(key), &n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestUpdate mixes changes that succeed, refuse, fail and panic. Whichever
// share a commit, each has its own outcome and only its own effect.
func TestUpdate(t *testing.T) {
	t.Parallel()
	s := open(t, func(disk.Event) {})
	broken := errors.New("broken")
	var callers sync.WaitGroup
	for i := range 100 {
		callers.Go(func() {
			key := fmt.Sprint("key-", i)
			err := s.Update(t.Context(), func(tx *bbolt.Tx) error {
				if i%4 == 1 {
					return &queue.Error{Status: 409}
				}
				if err := disk.Put(tx, bucket, []byte(key), i+1); err != nil {
					return err
				}
				switch i % 4 {
				case 2:
					return broken
				case 3:
					panic("a bug")
				}
				return nil
			})
			want := i + 1
			if i%4 != 0 {
				want = 0
			}
			if got := value(t, s, key); got != want {
				t.Errorf("%s is %d, want %d", key, got, want)
			}
			ok := map[int]bool{
				0: err == nil,
				1: errors.Is(err, queue.ErrConflict),
				2: errors.Is(err, broken),
				3: err != nil && strings.Contains(err.Error(), "internal error: a bug"),
			}
			if !ok[i%4] {
				t.Errorf("change %d ended with %v", i, err)
			}
		})
	}
	callers.Wait()
}

// TestEvents lets events happen in their order, at their moment, without
// anyone asking.
func TestEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var happened atomic.Value
		happened.Store("")
		s := open(t, func(e disk.Event) { happened.Store(happened.Load().(string) + e.ID) })
		start := time.Now()
		err := s.Update(t.Context(), func(tx *bbolt.Tx) error {
			for id, after := range map[string]time.Duration{"c": 3 * time.Hour, "a": time.Minute, "b": 2 * time.Hour} {
				if err := s.Schedule(tx, tcclient.Time(start.Add(after)), disk.Event{Kind: "k", ID: id}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range []struct {
			at   time.Duration
			want string
		}{{59 * time.Second, ""}, {61 * time.Second, "a"}, {2*time.Hour + time.Second, "ab"}, {4 * time.Hour, "abc"}} {
			time.Sleep(time.Until(start.Add(row.at)))
			synctest.Wait()
			if got := happened.Load(); got != row.want {
				t.Errorf("after %v %q has happened, want %q", row.at, got, row.want)
			}
		}
	})
}

func TestEntries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, func(disk.Event) {})
		set := func(name string, lasts time.Duration) {
			t.Helper()
			err := s.ChangeEntry(t.Context(), "kind", name, func(*disk.Entry) (*disk.Entry, error) {
				return &disk.Entry{Value: json.RawMessage(`1`), Expires: tcclient.Time(time.Now().Add(lasts))}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for i := range 5 {
			set(fmt.Sprint("name-", i), time.Hour)
		}
		set("name-0", 3*time.Hour)
		list := func() (names string) {
			t.Helper()
			page := disk.Page{Limit: 2}
			for {
				entries, next, err := s.Entries("kind", "name-", page)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					names += e.Name[len("name-"):]
				}
				if next == "" {
					return names
				}
				page.Token = next
			}
		}
		if got := list(); got != "01234" {
			t.Errorf("listed %s, want 01234", got)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := list(); got != "0" {
			t.Errorf("after two hours listed %s, want 0", got)
		}
		if _, err := s.Entry("kind", "name-1"); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("an expired entry: %v", err)
		}
	})
}

func TestClosed(t *testing.T) {
	t.Parallel()
	s := open(t, func(disk.Event) {})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(context.Background(), func(*bbolt.Tx) error { return nil }); !errors.Is(err, disk.ErrClosed) {
		t.Errorf("a change of a closed store: %v", err)
	}
	if err := s.View(func(*bbolt.Tx) error { return nil }); !errors.Is(err, disk.ErrClosed) {
		t.Errorf("reading a closed store: %v", err)
	}
}
