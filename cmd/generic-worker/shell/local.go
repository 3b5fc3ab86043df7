package shell

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local"
)

// addressFile is where a task run notes the root URL of its queue, in its own
// directory.
const addressFile = "address"

// Note lets Running find the queue of a task run, whose directory is dir and
// has the queue's in "queue".
func Note(dir, rootURL string) error {
	if err := os.WriteFile(filepath.Join(dir, addressFile), []byte(rootURL), 0o600); err != nil {
		return fmt.Errorf("cannot note where the queue is: %w", err)
	}
	return nil
}

// Running returns a client of the queue that has the task, of those of the task
// runs whose directories are in dir; nil if none has.
func Running(ctx context.Context, dir, taskID string) *queue.Client {
	notes, _ := filepath.Glob(filepath.Join(dir, "*", addressFile)) // the pattern is right
	for _, note := range notes {
		client := clientOfRun(note)
		if client == nil {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, time.Second)
		_, err := client.Status(asking, taskID)
		cancel()
		if err == nil {
			return client
		}
	}
	return nil
}

// clientOfRun connects to the queue of a task run; nil if it cannot be, for
// such a run has just begun or ended.
func clientOfRun(note string) *queue.Client {
	address, err := os.ReadFile(note)
	if err != nil {
		return nil
	}
	credentials, err := local.ReadCredentials(filepath.Join(filepath.Dir(note), "queue"))
	if err != nil {
		return nil
	}
	return &queue.Client{RootURL: strings.TrimSpace(string(address)), Credentials: func() queue.Credentials { return credentials }}
}
