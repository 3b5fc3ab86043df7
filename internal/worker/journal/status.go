package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Status is what a worker's state directory says about it. It holds no
// credentials.
type Status struct {
	Resolved int           `json:"resolved"` // tasks, restarts included
	Running  []RunningTask `json:"running"`  // or cut off, if no worker is at work; in order of task id
}

// RunningTask is a run that a worker has.
type RunningTask struct {
	TaskID     string    `json:"taskId"`
	RunID      int       `json:"runId"`
	TakenUntil time.Time `json:"takenUntil"` // by the queue's clock
}

// ReadStatus reads the state directory of a worker, which may be at work
// meanwhile. In a directory that does not exist nothing was done yet.
func ReadStatus(dir string) (Status, error) {
	s := Status{Running: []RunningTask{}}
	var err error
	if s.Resolved, err = readCount(dir); err != nil {
		return Status{}, err
	}
	files, err := os.ReadDir(filepath.Join(dir, runningDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Status{}, fmt.Errorf("cannot read which tasks are running: %w", err)
	}
	for _, file := range files {
		if filepath.Ext(file.Name()) != ".json" {
			continue // about to replace one that was read or will be
		}
		run, err := readRunning(filepath.Join(dir, runningDir, file.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist): // ended just now
		case err != nil:
			return Status{}, fmt.Errorf("cannot read which tasks are running: %w", err)
		default:
			s.Running = append(s.Running, run)
		}
	}
	return s, nil
}

// readCount reads how many tasks were resolved; 0 if none ever was.
func readCount(dir string) (int, error) {
	text, err := readLimited(filepath.Join(dir, countFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot read how many tasks were resolved: %w", err)
	}
	if len(text) == 0 {
		return 0, nil // a worker was killed between making the file and writing to it
	}
	count, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || count < 0 {
		return 0, fmt.Errorf("%s in the state directory does not hold a number of tasks; remove it to start counting again", countFile)
	}
	return count, nil
}

// readRunning reads what is not secret of one run's file.
func readRunning(path string) (RunningTask, error) {
	var run RunningTask
	text, err := readLimited(path)
	if err != nil {
		return run, err
	}
	if json.Unmarshal(text, &run) != nil || run.TaskID == "" {
		// The text of the error could show some of the file.
		return run, fmt.Errorf("%s does not describe a run; start the worker, which clears it away", path)
	}
	return run, nil
}

// readLimited reads a file of the journal, whatever has become of it.
func readLimited(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, largestEntry))
}
