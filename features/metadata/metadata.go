// Package metadata keeps a small file with facts about the last task, for
// programs on the machine that want to know what it does.
package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/task"
)

// Config says where the file is.
type Config struct {
	Path    string // empty: no file is kept
	RootURL string // of the deployment that shows tasks
}

// Feature writes the file for each task that starts.
type Feature struct {
	config Config
	mu     *sync.Mutex // of the file: runs begin concurrently
}

// New returns the feature.
func New(c Config) Feature { return Feature{config: c, mu: new(sync.Mutex)} }

// Name is "metadata". No payload asks for it.
func (Feature) Name() string { return "metadata" }

// facts are the content of the file.
type facts struct {
	LastTaskURL string `json:"lastTaskUrl"`
}

// Attach writes the file before the first command. That it cannot be written
// is no fault of the task, and does not stop it.
func (f Feature) Attach(run *task.Run) (features.Hooks, error) {
	if f.config.Path == "" {
		return features.Hooks{}, nil
	}
	return features.Hooks{
		Prepare: func(context.Context) error {
			url := strings.TrimRight(f.config.RootURL, "/") + "/tasks/" + run.TaskID + "/runs/" + strconv.Itoa(run.RunID)
			if err := f.write(facts{LastTaskURL: url}); err != nil {
				run.Operator.Warn("cannot write the facts about the last task; set enableMetadata to false if nobody reads them", "error", err)
			}
			return nil
		},
	}, nil
}

// write replaces the file at once, so that no reader finds half of it.
func (f Feature) write(content facts) error {
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	next, err := os.CreateTemp(filepath.Dir(f.config.Path), filepath.Base(f.config.Path)+".*")
	if err != nil {
		return err
	}
	_, err = next.Write(text)
	if err = errors.Join(err, next.Chmod(0o644), next.Close()); err == nil {
		err = os.Rename(next.Name(), f.config.Path)
	}
	if err != nil {
		_ = os.Remove(next.Name())
	}
	return err
}
