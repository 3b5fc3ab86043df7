package platform

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/taskcluster/generic-worker/process"
)

// markerName is the variable by which the processes of a task are found after
// the worker that started them was killed. Its value is the task directory.
const markerName = "GENERIC_WORKER_SESSION"

func marker(dir string) string { return markerName + "=" + dir }

// stopLeftovers kills what tasks of an earlier worker, which was killed, still
// have running. Nobody would stop it otherwise.
func (e *Insecure) stopLeftovers(ctx context.Context) {
	entries, err := fs.ReadDir(e.tasks.FS(), ".")
	if err != nil {
		return // recover tells
	}
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), sessionPrefix) {
			continue
		}
		dir := filepath.Join(e.TasksDir, entry.Name())
		killed, err := process.Sweep(ctx, marker(dir))
		if len(killed) > 0 {
			e.Log.WarnContext(ctx, "processes of an earlier task were still running and were killed", "dir", dir, "processes", killed)
		}
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			e.Log.ErrorContext(ctx, "cannot stop the processes of an earlier task", "dir", dir, "error", err)
		}
	}
}
