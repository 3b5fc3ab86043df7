package cache_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/taskcluster/generic-worker/internal/cache"
)

// TestMountLeftInACache: what a task has mounted in its cache, such as the
// machine's devices for a chroot, is neither changed nor copied nor deleted. The
// cache is not kept.
func TestMountLeftInACache(t *testing.T) {
	t.Parallel()
	for name, elsewhere := range map[string]bool{"same disk": false, "another disk": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := smallDisk(t, "size=4m") // goes with all that is mounted in it
			// What is mounted is on the disk of the task as well: only the mount is another.
			task, outside := filepath.Join(dir, "task"), filepath.Join(dir, "outside")
			if elsewhere {
				other := smallDisk(t, "size=4m")
				task, outside = filepath.Join(other, "task"), filepath.Join(other, "outside")
			}
			if err := errors.Join(os.Mkdir(task, 0o700), os.Mkdir(outside, 0o700)); err != nil {
				t.Fatal(err)
			}
			tool, pipe := filepath.Join(outside, "tool"), filepath.Join(outside, "pipe")
			err := errors.Join(os.WriteFile(tool, nil, 0o755), os.Chmod(tool, 0o755|os.ModeSetuid), unix.Mkfifo(pipe, 0o600))
			if err != nil {
				t.Fatal(err)
			}
			s, end := borrowStore(t, dir)
			j := newJobIn(t, task)
			w := lease(t, s, "a", j)
			j.write("cache/chroot/dev/null", "")
			if err := unix.Mount(outside, filepath.Join(task, "cache/chroot/dev"), "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
			_, err = w.Keep(t.Context(), j.root, j.dir, "cache")
			if err == nil || !strings.Contains(err.Error(), `something is mounted at "chroot/dev"; let the task unmount it`) {
				t.Errorf("Keep returned %v", err)
			}
			if all := s.List(); len(all) > 0 {
				t.Errorf("kept is %+v", all)
			}
			end()
			if info, err := os.Lstat(tool); err != nil || info.Mode() != 0o755|os.ModeSetuid {
				t.Errorf("the tool has mode %v, %v", info.Mode(), err)
			}
			if _, err := os.Lstat(pipe); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTreeThatCannotBeCopied: what a task does to the tree it has is no matter of
// the next one that wants the same.
func TestTreeThatCannotBeCopied(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(tree string) error{
		"removed": os.RemoveAll,
		"mounted": func(tree string) error {
			added := filepath.Join(tree, "added")
			return errors.Join(os.Mkdir(added, 0o700), unix.Mount(filepath.Dir(tree), added, "", unix.MS_BIND, ""))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := smallDisk(t, "size=4m") // goes with all that is mounted in it
			s, end := borrowStore(t, dir)
			task := filepath.Join(dir, "task")
			if err := os.Mkdir(task, 0o700); err != nil {
				t.Fatal(err)
			}
			var fills atomic.Int64
			first, second := newJobIn(t, task), newJob(t)
			one, _ := content(t, s, treeKey, "", fillTree(&fills))
			place(t, one, first, "tree")
			if err := spoil(filepath.Join(task, "tree")); err != nil {
				t.Fatal(err)
			}
			two, hit := content(t, s, treeKey, "", fillTree(&fills))
			if hit != cache.Filled {
				t.Errorf("the second use is %q", hit)
			}
			place(t, two, second, "tree")
			if diff := cmp.Diff(wood, second.files("tree")); diff != "" {
				t.Error(diff)
			}
			two.Close()
			one.Close()
			end()
		})
	}
}
