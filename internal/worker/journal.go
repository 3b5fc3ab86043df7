package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/task"
)

// journal remembers, over a kill of the worker, which runs it had and how many
// it resolved. It lives in files only the worker can read, because a run that
// was cut off can only be reported with that run's credentials; they are
// removed as soon as the run is over. A file is replaced in one step but not
// forced to the disk: after a loss of power no run is left to report for.
type journal struct {
	dir     string
	counter *os.File
	mu      sync.Mutex
	count   int
	runs    map[string]bool // those of this process
}

// entry is the file of one run.
type entry struct {
	TaskID      string    `json:"taskId"`
	RunID       int       `json:"runId"`
	TakenUntil  time.Time `json:"takenUntil"`
	ClientID    string    `json:"clientId"`
	AccessToken string    `json:"accessToken"`
	Certificate string    `json:"certificate"`
}

const (
	countFile  = "tasks-resolved-count.txt"
	runningDir = "running"
	// largestEntry bounds what is read back.
	largestEntry = 1 << 20
)

// openJournal opens the journal in the given directory, making it if need be.
func openJournal(dir string) (*journal, error) {
	if err := os.MkdirAll(filepath.Join(dir, runningDir), 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the worker's state directory; check stateDir in the configuration: %w", err)
	}
	j := &journal{dir: dir, runs: map[string]bool{}}
	var err error
	if j.count, err = readCount(dir); err != nil {
		return nil, err
	}
	if j.counter, err = os.OpenFile(filepath.Join(dir, countFile), os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("cannot open the count of resolved tasks: %w", err)
	}
	return j, j.writeCount()
}

// resolved is the number of runs resolved so far, restarts included.
func (j *journal) resolved() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.count
}

// enter notes that a run begins; false if this process has it already.
func (j *journal) enter(claim queue.Claim) bool {
	j.mu.Lock()
	key := entryName(claim.TaskID, claim.RunID)
	if j.runs[key] {
		j.mu.Unlock()
		return false
	}
	j.runs[key] = true
	j.mu.Unlock()
	j.record(claim)
	return true
}

// record writes the newest claim of a run. Without the file a run that is cut
// off is retried when its claim runs out instead of at once, so an error is
// not worth stopping the task for.
func (j *journal) record(claim queue.Claim) {
	data, err := json.Marshal(entry{
		TaskID: claim.TaskID, RunID: claim.RunID, TakenUntil: claim.TakenUntil,
		ClientID: claim.Credentials.ClientID, AccessToken: string(claim.Credentials.AccessToken), Certificate: string(claim.Credentials.Certificate),
	})
	if err == nil {
		_ = replaceFile(j.path(claim), data)
	}
}

func (j *journal) path(claim queue.Claim) string {
	return filepath.Join(j.dir, runningDir, entryName(claim.TaskID, claim.RunID))
}

// leave notes that a run is over and counts it.
func (j *journal) leave(claim queue.Claim) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.runs, entryName(claim.TaskID, claim.RunID))
	j.count++
	return errors.Join(os.Remove(j.path(claim)), j.writeCount())
}

// writeCount writes over the old count; a count only ever grows longer, so
// that no rest of the old one is left.
func (j *journal) writeCount() error {
	_, err := j.counter.WriteAt([]byte(strconv.Itoa(j.count)+"\n"), 0)
	return err
}

func (j *journal) close() { _ = j.counter.Close() }

// unfinished returns the runs an earlier process had and never left, and
// forgets them. Files that make no sense are dropped: they can be reported to nobody.
func (j *journal) unfinished() []entry {
	var entries []entry
	paths, _ := filepath.Glob(filepath.Join(j.dir, runningDir, "*"))
	for _, path := range paths {
		var e entry
		if info, err := os.Stat(path); err == nil && info.Size() <= largestEntry {
			data, err := os.ReadFile(path)
			if err == nil && json.Unmarshal(data, &e) == nil && e.TaskID != "" {
				entries = append(entries, e)
			}
		}
		_ = os.Remove(path)
	}
	return entries
}

func entryName(taskID string, runID int) string { return fmt.Sprintf("%s_%d.json", taskID, runID) }

// replaceFile writes a file that is either the old one or the new one, whole.
func replaceFile(path string, data []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// settle deals with what an earlier process left when it was killed: the runs
// it had are given back to the queue at once, if their claims still hold.
func (w *Worker) settle(ctx context.Context) {
	for _, e := range w.journal.unfinished() {
		log := w.Log.With("taskId", e.TaskID, "runId", e.RunID)
		claim := queue.Claim{TaskID: e.TaskID, RunID: e.RunID, TakenUntil: e.TakenUntil, Credentials: queue.Credentials{
			ClientID: e.ClientID, AccessToken: queue.Secret(e.AccessToken), Certificate: queue.Secret(e.Certificate),
		}}
		ctx, cancel := context.WithTimeout(ctx, settleLimit)
		err := w.Queue.Resolve(ctx, claim, task.WorkerShutdown.Outcome())
		cancel()
		if err != nil {
			log.Warn("this worker was killed while it ran a task; the queue retries it when the claim runs out", "error", err)
			continue
		}
		log.Warn("this worker was killed while it ran a task; the task was given back to the queue and is retried")
	}
}

// settleLimit bounds the report of one run that was cut off.
const settleLimit = 30 * time.Second

// runRecorded runs a task with a note of it in the journal.
func (w *Worker) runRecorded(ctx context.Context, claim queue.Claim) task.Resolution {
	if !w.journal.enter(claim) {
		w.Log.Error("the queue handed out a run that is running here already; it is left alone", "taskId", claim.TaskID, "runId", claim.RunID)
		return task.Canceled
	}
	summary := task.Summary{TaskID: claim.TaskID, RunID: claim.RunID, Resolution: task.InternalError}
	if w.contain(claim, func() { summary = w.runTask(ctx, claim) }) {
		w.giveBack(ctx, claim, summary.Resolution)
	}
	if err := w.journal.leave(claim); err != nil {
		w.Log.Error("cannot note that a run is over", "taskId", claim.TaskID, "runId", claim.RunID, "error", err)
	}
	if w.Resolved != nil {
		w.contain(claim, func() { w.Resolved(summary) })
	}
	return summary.Resolution
}

// contain is the last barrier of a run's goroutine, for what panics outside of
// its stages; it tells whether something did.
func (w *Worker) contain(claim queue.Claim, f func()) (panicked bool) {
	defer func() {
		if p := recover(); p != nil {
			w.Log.Error("a panic was contained", "taskId", claim.TaskID, "runId", claim.RunID, "panic", p, "stack", string(debug.Stack()))
			panicked = true
		}
	}()
	f()
	return false
}
