package cache_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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
