package room

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// disk is what a test makes of the disks, and what was done about them.
type disk struct {
	free      map[string]int64 // by directory
	settles   int64            // bytes that come back when what tasks left is deleted
	discards  int64            // bytes that caches have
	done      []string
	unreadble map[string]bool
}

func (d *disk) Obey(context.Context) { d.done = append(d.done, "obey") }

func (d *disk) Free(_ context.Context, dir string, need int64) (int64, error) {
	d.done = append(d.done, "free "+filepath.Base(dir))
	got := min(d.discards, need-d.free[dir])
	d.free[dir] += got
	d.discards -= got
	return got, nil
}

func (d *disk) settle(context.Context) error {
	d.done = append(d.done, "settle")
	for dir := range d.free {
		d.free[dir] += d.settles
	}
	d.settles = 0
	return nil
}

func (d *disk) freeBytes(dir string) (int64, error) {
	if d.unreadble[dir] {
		return 0, errors.New("no such disk")
	}
	return d.free[dir], nil
}

const mega = 1 << 20

func TestRoom(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		tasks, temp       int64 // megabytes that are free
		settles, discards int64
		unreadable        bool
		lenient           bool
		done              []string
		short             string
	}{
		"enough":                        {tasks: 100, temp: 10, done: []string{"obey"}},
		"tasks are still being deleted": {tasks: 1, temp: 10, settles: 100, discards: 100, done: []string{"obey", "settle"}},
		"caches go":                     {tasks: 1, temp: 10, discards: 99, done: []string{"obey", "settle", "free tasks"}},
		"caches are not enough": {
			tasks: 1, temp: 10, discards: 98, done: []string{"obey", "settle", "free tasks"},
			short: "tasks (tasksDir) has 99 MB free, not the 100 MB that requiredDiskSpaceMegabytes asks for, and no cache is left to delete; of what is on that disk, the worker's are tasksDir 3 MB, ",
		},
		"another directory":    {tasks: 100, temp: 9, done: []string{"obey", "settle", "free temp"}, short: "temp (temporary files) has 9 MB free"},
		"nobody can tell":      {tasks: 1, temp: 1, unreadable: true, done: []string{"obey"}},
		"short, but it may be": {tasks: 1, temp: 10, lenient: true, done: []string{"obey", "settle", "free tasks"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tasks, temp := filepath.Join(dir, "tasks"), filepath.Join(dir, "temp")
			err := errors.Join(os.Mkdir(tasks, 0o700), os.Mkdir(temp, 0o700), os.WriteFile(filepath.Join(tasks, "file"), make([]byte, 3*mega), 0o600))
			if err != nil {
				t.Fatal(err)
			}
			d := &disk{free: map[string]int64{tasks: row.tasks * mega, temp: row.temp * mega}, settles: row.settles * mega, discards: row.discards * mega}
			d.unreadble = map[string]bool{tasks: row.unreadable, temp: row.unreadable}
			w := Watch{
				Dirs:      []Dir{{"tasksDir", tasks, 100 * mega}, {"temporary files", temp, 10 * mega}, {"no matter", t.TempDir(), 0}},
				FreeBytes: d.freeBytes, Settle: d.settle, Store: d, Lenient: row.lenient, Log: slog.New(slog.DiscardHandler),
			}
			err = w.Room(t.Context())
			if diff := cmp.Diff(row.done, d.done); diff != "" {
				t.Error(diff)
			}
			short, ok := errors.AsType[*ShortError](err)
			if ok != (row.short != "") || ok && !strings.Contains(short.Error(), row.short) {
				t.Errorf("Room returned %v", err)
			}
		})
	}
}

func TestRoomEndsWithItsContext(t *testing.T) {
	t.Parallel()
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	d := &disk{}
	w := Watch{Dirs: []Dir{{"tasksDir", t.TempDir(), 1}}, FreeBytes: d.freeBytes, Settle: d.settle, Store: d, Log: slog.New(slog.DiscardHandler)}
	if err := w.Room(ctx); !errors.Is(err, reason) {
		t.Errorf("Room returned %v", err)
	}
}

func TestDirectoryThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if got := existing(filepath.Join(dir, "not", "yet")); got != dir {
		t.Errorf("looked at %s", got)
	}
}
