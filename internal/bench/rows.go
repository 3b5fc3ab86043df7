package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

// row is one kind of work and the figure it gives.
type row struct {
	name    string
	unit    string
	higher  bool // the higher the better
	bar     float64
	measure func(ctx context.Context, c candidate) (float64, error)
}

func rows() []row {
	return []row{
		{"start to first claim", "ms", false, 20, startToClaim},
		{"no-op task, live log on", "ms", false, 10, noop(true)},
		{"no-op task, live log off", "ms", false, 6, noop(false)},
		{"resolved to next claim", "ms", false, 1, nextClaim},
		{"200 MB of log in 100-byte lines", "MB/s", true, 250, bigLog},
		{"bytes of it a live reader gets", "%", true, 100, liveReader},
		{"1000 artifacts of 4 KB", "files/s", true, 2500, manyArtifacts(0)},
		{"1000 artifacts of 4 KB, 50 ms round trips", "files/s", true, 300, manyArtifacts(50 * time.Millisecond)},
		{"100 artifacts of 2 MiB, added by a chain of trust", "%", false, 3, signedArtifacts},
		{"512 MB half-compressible artifact", "MiB/s", true, 300, largeArtifact},
		{"64 one-second tasks at capacity 8, over ideal", "%", false, 2, parallelTasks},
		{"210 MB tar.gz mount, cold, over tar -xf", "×", false, 0.68, mounted(tarGz(), 1)},
		{"210 MB tar.gz mount, warm, over tar -xf", "×", false, 0.116, mounted(tarGz(), 2)},
		{"210 MB tar.zst mount, cold, over tar -xf", "×", false, 0.61, mounted(tarZst(), 1)},
		{"210 MB tar.zst mount, warm, over tar -xf", "×", false, 0.107, mounted(tarZst(), 2)},
		{"resolved to next claim, after such a mount", "ms", false, 2, nextClaimAfterMount},
		{"a request through the proxy, added", "ms", false, 0.1, proxyAdds(func(a added) float64 { return a.Sequential })},
		{"one of 32 requests at once, added", "ms", false, 0.1, proxyAdds(func(a added) float64 { return a.Parallel })},
		{"resident memory, idle", "MiB", false, 17, idleMemory},
		{"peak memory, 200 MB of log", "MiB", false, 32, peakOf(1, bigLogOn)},
		{"peak memory, 1000 artifacts", "MiB", false, 32, peakOf(1, manyArtifactsOn)},
		{"peak memory, 512 MB artifact", "MiB", false, 32, peakOf(1, largeArtifactOn)},
		{"peak memory, capacity 8", "MiB", false, 32, peakOf(8, parallelTasksOn)},
		{"cancellation to everything dead", "s", false, 30, cancellation},
		{"escaped processes alive after maxRunTime, of 7", "", false, 0, escaped},
	}
}

func shell(script string) map[string]any {
	return map[string]any{"command": [][]string{{"/bin/sh", "-c", script}}, "maxRunTime": 600}
}

func with(payload map[string]any, key string, value any) map[string]any {
	payload[key] = value
	return payload
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// on starts a worker, waits until it claims, and measures one thing with it.
func on(capacity int, f func(context.Context, *site) (float64, error)) func(context.Context, candidate) (float64, error) {
	return func(ctx context.Context, c candidate) (float64, error) {
		s, err := start(c, capacity)
		if err != nil {
			return 0, err
		}
		defer s.close()
		if _, err := s.claimed(ctx); err != nil {
			return 0, fmt.Errorf("the worker does not claim: %w\n%s", err, s.log())
		}
		value, err := f(ctx, s)
		if err != nil {
			return 0, fmt.Errorf("%w\n%s", err, s.log())
		}
		return value, nil
	}
}

// log is the end of the worker's log.
func (s *site) log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "worker.log"))
	return string(text[max(0, len(text)-2000):])
}

func startToClaim(ctx context.Context, c candidate) (float64, error) {
	s, err := start(c, 1)
	if err != nil {
		return 0, err
	}
	defer s.close()
	at, err := s.claimed(ctx)
	return milliseconds(at.Sub(s.started)), err
}

const noopTasks = 60

func noop(live bool) func(context.Context, candidate) (float64, error) {
	return on(1, func(ctx context.Context, s *site) (float64, error) {
		var times []float64
		for range noopTasks {
			run, err := s.task(ctx, with(shell("true"), "features", map[string]bool{"liveLog": live}))
			if err != nil {
				return 0, err
			}
			times = append(times, milliseconds(run.Resolved.Sub(run.Started)))
		}
		return median(times), nil
	})
}

// nextClaim is the time from the end of a report to the next claim, with tasks waiting.
func nextClaim(ctx context.Context, c candidate) (float64, error) {
	return on(1, func(ctx context.Context, s *site) (float64, error) {
		return s.gapBetween(ctx, with(shell("true"), "features", map[string]bool{"liveLog": false}), noopTasks)
	})(ctx, c)
}

// gapBetween runs equal tasks one after the other and returns the median of the
// times between them.
func (s *site) gapBetween(ctx context.Context, payload map[string]any, tasks int) (float64, error) {
	var last string
	for range tasks {
		last = s.fake.AddTask(payload)
	}
	if run, err := s.fake.WaitResolved(ctx, last, 0); err != nil || run.State != "completed" {
		return 0, errors.Join(err, fmt.Errorf("the last task ended as %s %s", run.State, run.Reason))
	}
	var gaps []float64
	var reported time.Time
	for _, call := range s.fake.Calls() {
		switch call.Endpoint {
		case "reportCompleted":
			reported = call.At.Add(call.Took)
		case "claimWork":
			if !reported.IsZero() {
				gaps = append(gaps, milliseconds(call.At.Sub(reported)))
			}
			reported = time.Time{}
		}
	}
	return median(gaps), nil
}

const (
	liveLog  = "public/logs/live.log"
	logBytes = 200_000_000
	logLines = "yes $(printf '%099d' 7) | head -c 200000000"
)

func bigLogOn(ctx context.Context, s *site) (float64, error) {
	run, err := s.task(ctx, shell(logLines))
	return logBytes / 1e6 / run.Resolved.Sub(run.Started).Seconds(), err
}

func bigLog(ctx context.Context, c candidate) (float64, error) { return on(1, bigLogOn)(ctx, c) }

// liveReader reads the live log of a task as fast as it comes.
func liveReader(ctx context.Context, c candidate) (float64, error) {
	return on(1, func(ctx context.Context, s *site) (float64, error) {
		id := s.fake.AddTask(shell("sleep 1; " + logLines))
		err := s.fake.WaitCalls(ctx, func(calls []queuetest.Call) bool {
			return slices.ContainsFunc(calls, func(c queuetest.Call) bool { return c.Name == liveLog && c.Took > 0 })
		})
		if err != nil {
			return 0, fmt.Errorf("no live log: %w", err)
		}
		run, _ := s.fake.Run(id, 0)
		var reference struct{ URL string }
		if err := json.Unmarshal(run.Artifact(liveLog).Request, &reference); err != nil {
			return 0, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, reference.URL, nil)
		if err != nil {
			return 0, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, err
		}
		defer response.Body.Close()
		n, _ := io.Copy(io.Discard, response.Body)
		return min(100, 100*float64(n)/logBytes), nil
	})(ctx, c)
}

func manyArtifactsOn(ctx context.Context, s *site) (float64, error) {
	payload := with(shell(`mkdir out; for i in $(seq 1000); do head -c 4096 /dev/urandom > out/$i.bin; done; echo end`), "artifacts",
		[]map[string]any{{"type": "directory", "path": "out", "name": "public/out"}})
	id := s.fake.AddTask(payload)
	run, err := s.fake.WaitResolved(ctx, id, 0)
	if err == nil && run.State != "completed" {
		err = fmt.Errorf("the task ended as %s %s", run.State, run.Reason)
	}
	if err != nil {
		return 0, err
	}
	first, last := uploads(s.fake.Calls(), id)
	return 1000 / last.Sub(first).Seconds(), nil
}

// uploads is the time in which the artifacts below public/out were published.
func uploads(calls []queuetest.Call, taskID string) (first, last time.Time) {
	for _, c := range calls {
		if c.TaskID != taskID || !strings.HasPrefix(c.Name, "public/out/") {
			continue
		}
		if first.IsZero() {
			first = c.At
		}
		if end := c.At.Add(c.Took); end.After(last) {
			last = end
		}
	}
	return first, last
}

func manyArtifacts(latency time.Duration) func(context.Context, candidate) (float64, error) {
	return on(1, func(ctx context.Context, s *site) (float64, error) {
		if latency > 0 {
			s.fake.Inject(queuetest.Fault{Endpoint: "createArtifact", Kind: queuetest.FaultLatency, Delay: latency},
				queuetest.Fault{Endpoint: "putData", Kind: queuetest.FaultLatency, Delay: latency})
		}
		return manyArtifactsOn(ctx, s)
	})
}

const largeBytes = 512 << 20

// halfCompressible writes a file of which every second kilobyte is random.
func halfCompressible(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	source := rand.NewChaCha8([32]byte{1})
	block := make([]byte, 1<<20)
	for range largeBytes / len(block) {
		for i := 0; i < len(block); i += 2048 {
			_, _ = source.Read(block[i : i+1024])
		}
		if _, err := file.Write(block); err != nil {
			return err
		}
	}
	return file.Close()
}

func largeArtifactOn(ctx context.Context, s *site) (float64, error) {
	path := filepath.Join(s.dir, "large.txt")
	if err := halfCompressible(path); err != nil {
		return 0, err
	}
	run, err := s.task(ctx, with(shell("true"), "artifacts", []map[string]any{{"type": "file", "path": path, "name": "public/large.txt"}}))
	return largeBytes / (1 << 20) / run.Resolved.Sub(run.Started).Seconds(), err
}

func largeArtifact(ctx context.Context, c candidate) (float64, error) {
	return on(1, largeArtifactOn)(ctx, c)
}

// parallelTasksOn is how much longer 64 tasks of one second take than 8 seconds, in percent.
func parallelTasksOn(ctx context.Context, s *site) (float64, error) {
	const tasks, capacity = 64, 8
	var ids []string
	begin := time.Now()
	for range tasks {
		ids = append(ids, s.fake.AddTask(shell("sleep 1")))
	}
	var last time.Time
	for _, id := range ids {
		run, err := s.fake.WaitResolved(ctx, id, 0)
		if err != nil {
			return 0, err
		}
		if run.Resolved.After(last) {
			last = run.Resolved
		}
	}
	ideal := tasks / capacity * time.Second
	return 100 * (last.Sub(begin).Seconds()/ideal.Seconds() - 1), nil
}

func parallelTasks(ctx context.Context, c candidate) (float64, error) {
	return on(8, parallelTasksOn)(ctx, c)
}

func idleMemory(ctx context.Context, c candidate) (float64, error) {
	return on(1, func(ctx context.Context, s *site) (float64, error) {
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
		}
		return float64(s.memory()) / (1 << 20), nil
	})(ctx, c)
}

// peakOf is the largest resident memory while something is done.
func peakOf(capacity int, f func(context.Context, *site) (float64, error)) func(context.Context, candidate) (float64, error) {
	return on(capacity, func(ctx context.Context, s *site) (float64, error) {
		_, err := f(ctx, s)
		return float64(s.peak.Load()) / (1 << 20), err
	})
}

// alive counts the processes that carry a mark in their command line.
func alive(mark string) int {
	out, err := exec.Command("pgrep", "-fc", mark).Output()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		return -1
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(out)))
	return n
}

// gone waits until no process carries the mark.
func gone(ctx context.Context, mark string) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for alive(mark) > 0 {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%d processes are still alive: %w", alive(mark), ctx.Err())
		}
	}
	return nil
}

// cancellation is the time from a cancel, at no particular moment, until
// nothing of the task is alive.
func cancellation(ctx context.Context, c candidate) (float64, error) {
	return on(1, func(ctx context.Context, s *site) (float64, error) {
		mark := strconv.Itoa(700000 + rand.IntN(100000))
		id := s.fake.AddTask(shell("setsid sleep " + mark + " & sleep " + mark))
		if _, err := s.fake.WaitClaimed(ctx, id, 0); err != nil {
			return 0, err
		}
		for alive(mark) < 2 {
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			time.Sleep(10 * time.Millisecond)
		}
		begin := time.Now()
		s.fake.Cancel(id)
		err := gone(ctx, mark)
		return time.Since(begin).Seconds(), err
	})(ctx, c)
}

// escaped counts which of seven descendants that ignore TERM, six of them in
// sessions of their own, are alive three seconds after the task's time is up.
func escaped(ctx context.Context, c candidate) (float64, error) {
	return on(1, func(ctx context.Context, s *site) (float64, error) {
		mark := strconv.Itoa(800000 + rand.IntN(100000))
		script := `trap "" TERM; for i in 1 2 3 4 5 6; do setsid sh -c 'trap "" TERM; sleep ` + mark + `' & done; sleep ` + mark
		id := s.fake.AddTask(with(shell(script), "maxRunTime", 2))
		if _, err := s.fake.WaitResolved(ctx, id, 0); err != nil {
			return 0, err
		}
		select {
		case <-time.After(3 * time.Second):
		case <-ctx.Done():
		}
		n := alive("sleep " + mark)
		_ = exec.Command("pkill", "-KILL", "-f", mark).Run()
		return float64(n), nil
	})(ctx, c)
}
