package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// checked looks at what is mounted, reports what is not whole, and changes all
// of it: the cache so that it is not whole for most of the time.
const checked = `
	wrong() { echo "$TASK_ID $RUN_ID: $1" >> "$REPORT"; exit 9; }
	if [ -e c/SUMS ]; then
		(cd c && sha256sum --status -c SUMS) || wrong "a cache of which a part is missing or half"
		[ $(ls c | wc -l) = 13 ] || wrong "a cache with more than there should be: $(ls c | tr '\n' ' ')"
	elif [ -n "$(ls -A c)" ]; then
		wrong "half a cache: $(ls c | tr '\n' ' ')"
	fi
	(cd t && sha256sum --status -c SUMS) || wrong "a tree of which a part is missing or changed"
	[ $(find t -type f | wc -l) = 61 ] || wrong "a tree with something more in it"
	tar -tf f/tree.tar > list || wrong "half a file"
	[ $(wc -l < list) = 61 ] || wrong "a file of which a part is missing"
	setsid sleep 300 &
	rm -f c/*
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do head -c 50000 /dev/urandom > c/$i; done
	case $TASK_ID in [A-Z]*) echo more >> t/d1/1; touch t/new;; [a-m]*) rm t/d2/2;; esac
	(cd c && sha256sum * > ../sums && mv ../sums SUMS)`

// TestL1KilledWithMounts kills workers at random moments, while tasks get their
// mounts, change them and give them back. What the next tasks get is whole, or
// not there, and nothing of the killed ones stays.
func TestL1KilledWithMounts(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, "capacity: 3\n")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const rounds = 12
	for round := range rounds {
		c.add(checked, "cache tree file")
		c.add(checked, []string{"cache slow file", "tree cache file"}[round%2])
		c.start()
		delay := time.NewTimer(time.Duration(random.Int64N(int64(700 * time.Millisecond))))
		select {
		case <-delay.C:
		case <-c.ended:
			t.Fatalf("the worker of round %d ended by itself", round)
		}
		c.end(syscall.SIGKILL)
	}
	c.start()
	for _, mounts := range []string{"cache tree file", "cache slow file", "cache tree file"} {
		id := c.add(checked, mounts)
		if run := c.resolved(id, 0); run.State != "completed" {
			t.Errorf("a task after the last kill is %s (%s):\n%s", run.State, run.Reason, run.Artifact("public/logs/live_backing.log").Body)
		}
	}
	c.end(syscall.SIGINT)
	c.reported()
	c.nothingLeft()
	for _, violation := range c.Violations() {
		t.Error(violation)
	}
	// Of writable caches there are as many as tasks at a time, of each download
	// at most the archive, what was unpacked, and nothing else.
	if files := count(t, c.dir+"/caches"); files > 3*20+10 {
		t.Errorf("%d files are left in the caches", files)
	}
	if files := count(t, c.dir+"/downloads"); files > 2*(treeFiles+10)+10 {
		t.Errorf("%d files are left in the downloads", files)
	}
}

func count(t *testing.T, dir string) (files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("cannot count files: %w", err)
		}
		if entry.Type().IsRegular() {
			files++
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return files
}

// TestL3ShutdownWhileMounting stops a worker whose tasks wait for downloads: no
// command of theirs is started, they are given back, and nothing is left.
func TestL3ShutdownWhileMounting(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, "capacity: 4\n")
	c.start()
	var ids []string
	for _, mounts := range []string{"hangs", "cache hangs", "cache tree hangs", "file hangstree"} {
		ids = append(ids, c.add(`echo "$TASK_ID runs" >> "$REPORT"`, mounts))
	}
	for range 2 { // who wants the same waits for the first
		select {
		case <-c.hung:
		case <-time.After(patience):
			t.Fatal("nothing is downloaded")
		}
	}
	for _, id := range ids {
		if _, err := c.WaitClaimed(t.Context(), id, 0); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	c.end(syscall.SIGTERM)
	if elapsed := time.Since(begun); elapsed > 10*time.Second {
		t.Errorf("the worker ends after %v", elapsed)
	}
	for _, id := range ids {
		if run := c.resolved(id, 0); run.State != "exception" || run.Reason != "worker-shutdown" {
			t.Errorf("a task that waits for a download is %s (%s):\n%s", run.State, run.Reason, run.Artifact("public/logs/live_backing.log").Body)
		}
	}
	c.reported()
	c.nothingLeft()
	for _, violation := range c.Violations() {
		t.Error(violation)
	}
}
