package cache_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/cache/shelf"
)

// crashDir names the directory of the store that a child process uses until it
// is killed.
const crashDir = "CACHE_TEST_CRASH_DIR"

// parts is how many files each cache, tree and task of the crash test has.
const parts = 40

// workUntilKilled runs tasks, several at a time, that use writable caches,
// trees and files, in all ways there are. A cache is whole if all of its files say
// the same.
func workUntilKilled(dir string) {
	s, err := cache.Open(context.Background(), options(dir))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("working")
	for slot := range 4 {
		go func() {
			for i := 0; ; i++ {
				if err := crashTask(s, filepath.Join(dir, "tasks", fmt.Sprintf("%d_%d_%d", os.Getpid(), slot, i)), i); err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
			}
		}()
	}
	select {}
}

// crashTask is one task.
func crashTask(s *cache.Store, dir string, i int) error {
	ctx := context.Background()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	defer root.Close()
	w, err := s.Writable(ctx, fmt.Sprint("cache", i%2))
	if err == nil {
		err = w.Place(ctx, root, dir, "cache")
	}
	if err != nil {
		return err
	}
	tree, _, err := s.Content(ctx, crashKey(cache.Tree, i%3), cache.Want{}, crashFill)
	if err == nil {
		err = tree.Place(ctx, root, dir, "tree")
	}
	if err != nil {
		return err
	}
	file, _, err := s.Content(ctx, crashKey(cache.File, i%3), cache.Want{}, crashFill)
	if err != nil {
		return err
	}
	err = errors.Join(file.Place(ctx, root, dir, "file"), whole(dir))
	file.Close()
	if err != nil {
		return err
	}
	mark := fmt.Sprint(rand.Uint64())
	if err := writeParts(func(name string) error { return root.WriteFile(filepath.Join("cache", name), []byte(mark), 0o644) }); err != nil {
		return err
	}
	if i%7 == 3 { // a task that changes its tree
		if err := root.WriteFile("tree/part3", []byte("changed"), 0o644); err != nil {
			return err
		}
	}
	if i%5 == 4 {
		w.Discard("the task was aborted")
		tree.Close()
		return nil
	}
	if i%11 == 10 {
		_, _ = s.Free(ctx, dir, 1)
		s.Purge("cache1", time.Now(), "purged")
	}
	_, err = w.Keep(ctx, root, dir, "cache")
	return errors.Join(err, tree.Return(ctx, root, dir, "tree"))
}

func crashKey(kind shelf.Kind, n int) cache.Key {
	return cache.Key{Source: fmt.Sprint("artifact:crash:", n), Kind: kind}
}

// crashFill makes a tree or a file of parts that say the same.
func crashFill(_ context.Context, s *cache.Staging) (cache.Filling, error) {
	if s.Root != nil {
		return cache.Filling{}, writeParts(func(name string) error { return s.Root.WriteFile(name, []byte("tree"), 0o644) })
	}
	return cache.Filling{SHA256: hashOf(strings.Repeat("file", parts))}, writeParts(func(string) error {
		_, err := s.File.WriteString("file")
		return err
	})
}

func writeParts(write func(name string) error) error {
	for i := range parts {
		if err := write(fmt.Sprint("part", i)); err != nil {
			return err
		}
	}
	return nil
}

// whole tells whether what a task was given is whole.
func whole(dir string) error {
	marks := map[string]int{}
	files, err := os.ReadDir(filepath.Join(dir, "cache"))
	for _, file := range files {
		text, readErr := os.ReadFile(filepath.Join(dir, "cache", file.Name()))
		marks[string(text)]++
		err = errors.Join(err, readErr)
	}
	if len(files) > 0 && (len(files) != parts || len(marks) != 1) {
		err = errors.Join(err, fmt.Errorf("a cache is not whole: %v", marks))
	}
	for i := range parts {
		text, readErr := os.ReadFile(filepath.Join(dir, "tree", fmt.Sprint("part", i)))
		if err = errors.Join(err, readErr); string(text) != "tree" {
			err = errors.Join(err, fmt.Errorf("part %d of a tree is %q", i, text))
		}
	}
	text, readErr := os.ReadFile(filepath.Join(dir, "file"))
	if string(text) != strings.Repeat("file", parts) {
		err = errors.Join(err, fmt.Errorf("a file is %q", text))
	}
	return errors.Join(err, readErr)
}

// TestKill kills the process that has the store at random moments under load,
// and looks whether any later task gets something that is not whole.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	for name, tasks := range elsewhere(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if tasks != "" {
				if err := os.Symlink(tasks, filepath.Join(dir, "tasks")); err != nil {
					t.Fatal(err)
				}
			}
			survived := 0
			for range rounds {
				killWorker(t, dir)
				s, end := borrowStore(t, dir)
				for _, e := range s.List() {
					if e.InUse {
						t.Errorf("%s is in use", e.Name)
					}
					survived++
				}
				for i := range 4 {
					if err := crashTask(s, filepath.Join(dir, "tasks", fmt.Sprint("after_", i)), i); err != nil {
						t.Error(err)
					}
				}
				end()
				for _, staging := range []string{"caches/writable/staging", "downloads/content/staging"} {
					if left, err := os.ReadDir(filepath.Join(dir, staging)); len(left) > 0 || err != nil {
						t.Errorf("in %s there is %v, %v", staging, left, err)
					}
				}
				if t.Failed() {
					return
				}
			}
			t.Logf("%d entries survived %d kills", survived, rounds)
			if survived == 0 {
				t.Error("nothing ever survived")
			}
		})
	}
}

// elsewhere names directories for tasks: beside the store, and on another disk
// if there is one.
func elsewhere(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{"same disk": ""}
	dir, err := os.MkdirTemp("/dev/shm", "cache-test")
	if err != nil {
		t.Logf("no other disk to try: %v", err)
		return found
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	found["another disk"] = dir
	return found
}

// killWorker starts a worker and kills it a moment later.
func killWorker(t *testing.T, dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), crashDir+"="+dir)
	child.Stderr = os.Stderr
	stdout, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(stdout)
	if !said.Scan() || said.Text() != "working" {
		t.Fatalf("the worker says %q, %v", said.Text(), said.Err())
	}
	time.AfterFunc(time.Duration(rand.IntN(120))*time.Millisecond, func() { _ = child.Process.Kill() })
	for said.Scan() {
		t.Errorf("the worker says %q", said.Text())
	}
	_ = child.Wait() // it was killed
}
