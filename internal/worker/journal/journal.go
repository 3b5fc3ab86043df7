// Package journal remembers, over a kill of the worker, which runs it had and how
// many it resolved.
package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
)

// Journal lives in files only the worker can read, because a run that was cut
// off can only be reported with that run's credentials; they are removed as soon
// as the run is over. A file is replaced in one step but not forced to the disk:
// after a loss of power no run is left to report for. Its methods may be called
// concurrently.
type Journal struct {
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

// Open opens the journal in the given directory, making it if need be.
func Open(dir string) (*Journal, error) {
	if err := os.MkdirAll(filepath.Join(dir, runningDir), 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the worker's state directory; check stateDir in the configuration: %w", err)
	}
	j := &Journal{dir: dir, runs: map[string]bool{}}
	var err error
	if j.count, err = readCount(dir); err != nil {
		return nil, err
	}
	if j.counter, err = os.OpenFile(filepath.Join(dir, countFile), os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("cannot open the count of resolved tasks: %w", err)
	}
	return j, j.writeCount()
}

// Resolved is the number of runs resolved so far, restarts included.
func (j *Journal) Resolved() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.count
}

// Enter notes that a run begins; false if this process has it already.
func (j *Journal) Enter(claim queue.Claim) bool {
	j.mu.Lock()
	key := entryName(claim.TaskID, claim.RunID)
	if j.runs[key] {
		j.mu.Unlock()
		return false
	}
	j.runs[key] = true
	j.mu.Unlock()
	j.Record(claim)
	return true
}

// Record writes the newest claim of a run. Without the file a run that is cut
// off is retried when its claim runs out instead of at once, so an error is
// not worth stopping the task for.
func (j *Journal) Record(claim queue.Claim) {
	data, err := json.Marshal(entry{
		TaskID: claim.TaskID, RunID: claim.RunID, TakenUntil: claim.TakenUntil,
		ClientID: claim.Credentials.ClientID, AccessToken: string(claim.Credentials.AccessToken), Certificate: string(claim.Credentials.Certificate),
	})
	if err == nil {
		_ = replaceFile(j.path(claim), data)
	}
}

func (j *Journal) path(claim queue.Claim) string {
	return filepath.Join(j.dir, runningDir, entryName(claim.TaskID, claim.RunID))
}

// Leave notes that a run is over and counts it.
func (j *Journal) Leave(claim queue.Claim) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.runs, entryName(claim.TaskID, claim.RunID))
	j.count++
	return errors.Join(os.Remove(j.path(claim)), j.writeCount())
}

// writeCount writes over the old count; a count only ever grows longer, so
// that no rest of the old one is left.
func (j *Journal) writeCount() error {
	_, err := j.counter.WriteAt([]byte(strconv.Itoa(j.count)+"\n"), 0)
	return err
}

// Close closes the files.
func (j *Journal) Close() { _ = j.counter.Close() }

// Unfinished returns the claims of runs an earlier process had and never left, and
// forgets them. Files that make no sense are dropped: they can be reported to nobody.
func (j *Journal) Unfinished() []queue.Claim {
	var claims []queue.Claim
	paths, _ := filepath.Glob(filepath.Join(j.dir, runningDir, "*"))
	for _, path := range paths {
		var e entry
		if info, err := os.Stat(path); err == nil && info.Size() <= largestEntry {
			data, err := os.ReadFile(path)
			if err == nil && json.Unmarshal(data, &e) == nil && e.TaskID != "" {
				claims = append(claims, e.claim())
			}
		}
		_ = os.Remove(path)
	}
	return claims
}

// claim is what a run is reported with.
func (e entry) claim() queue.Claim {
	return queue.Claim{TaskID: e.TaskID, RunID: e.RunID, TakenUntil: e.TakenUntil, Credentials: queue.Credentials{
		ClientID: e.ClientID, AccessToken: mask.Secret(e.AccessToken), Certificate: mask.Secret(e.Certificate),
	}}
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
