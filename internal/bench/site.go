package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

// candidate is a worker to measure.
type candidate struct {
	binary  string
	livelog string // helper executables of a worker that needs them
	proxy   string
	data    string // directory for what rows make to measure with
}

// site is one worker process with a queue of its own.
type site struct {
	fake    *queuetest.Fake
	dir     string
	started time.Time
	process *exec.Cmd
	exited  chan struct{}
	peak    atomic.Int64
	stop    func()
}

// start runs the worker with the given capacity until close.
func start(c candidate, capacity int) (*site, error) {
	fake, err := queuetest.NewFake(queuetest.FakeOptions{KeepBodies: -1, NoHash: true})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-site-")
	if err != nil {
		fake.Close()
		return nil, err
	}
	s := &site{fake: fake, dir: dir, exited: make(chan struct{}), stop: func() {}}
	if err := s.launch(c, capacity); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *site) launch(c candidate, capacity int) error {
	pool, workerType, _ := strings.Cut(queuetest.TaskQueueID, "/")
	settings := map[string]any{
		"rootURL": s.fake.URL, "clientId": "bench", "accessToken": "bench-secret", "provisionerId": pool, "workerType": workerType,
		"workerGroup": "bench", "workerId": "bench", "ed25519SigningKeyLocation": filepath.Join(s.dir, "key"), "capacity": capacity,
		"publicIP": "127.0.0.1", "requiredDiskSpaceMegabytes": 1, "sentryProject": "",
		"tasksDir": filepath.Join(s.dir, "tasks"), "cachesDir": filepath.Join(s.dir, "caches"), "downloadsDir": filepath.Join(s.dir, "downloads"),
	}
	if c.livelog == "" {
		settings["chainOfTrustKeysReadableByTasks"] = true // without which the insecure engine signs nothing
	} else {
		settings["livelogExecutable"] = c.livelog
	}
	if c.proxy != "" {
		settings["taskclusterProxyExecutable"], settings["taskclusterProxyPort"] = c.proxy, 18082
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	if err := os.WriteFile(filepath.Join(s.dir, "key"), []byte(key), 0o600); err != nil {
		return err
	}
	config := filepath.Join(s.dir, "config.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.dir, "worker.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.process = exec.Command(c.binary, "run", "--config", config)
	s.process.Dir, s.process.Stdout, s.process.Stderr = s.dir, log, log
	s.started = time.Now()
	if err := s.process.Start(); err != nil {
		return err
	}
	go func() {
		_ = s.process.Wait()
		close(s.exited)
	}()
	s.watch()
	return nil
}

// watch samples the memory of the worker and its helpers.
func (s *site) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if now := s.memory(); now > s.peak.Load() {
					s.peak.Store(now)
				}
			}
		}
	})
	s.stop = func() { cancel(); done.Wait() }
}

// memory is the resident size of the worker and of its helper processes; the
// tasks' own processes do not count.
func (s *site) memory() int64 {
	total := resident(s.process.Process.Pid)
	for _, pid := range children(s.process.Process.Pid) {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if text := strings.TrimSpace(string(name)); text == "livelog" || text == "taskcluster-pro" {
			total += resident(pid)
		}
	}
	return total
}

func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

func children(pid int) []int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// claimed waits for the worker's first claim.
func (s *site) claimed(ctx context.Context) (time.Time, error) {
	var at time.Time
	err := s.fake.WaitCalls(ctx, func(calls []queuetest.Call) bool {
		for _, c := range calls {
			if c.Endpoint == "claimWork" {
				at = c.At
				return true
			}
		}
		return false
	})
	return at, err
}

// task runs one task to its end.
func (s *site) task(ctx context.Context, payload map[string]any) (queuetest.Run, error) {
	id := s.fake.AddTask(payload)
	run, err := s.fake.WaitResolved(ctx, id, 0)
	if err != nil {
		return run, fmt.Errorf("the task was not resolved: %w", err)
	}
	if run.State != "completed" {
		return run, fmt.Errorf("the task ended as %s %s", run.State, run.Reason)
	}
	return run, nil
}

// close kills the worker and removes everything.
func (s *site) close() {
	s.stop()
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Signal(syscall.SIGKILL)
		<-s.exited
	}
	s.fake.Close()
	_ = os.RemoveAll(s.dir)
}
