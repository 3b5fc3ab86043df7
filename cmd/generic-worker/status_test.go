package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/internal/filelock"
)

// statusDir makes the state directory of a worker with one task, and the
// configuration of that worker.
func statusDir(t *testing.T) (dir, config string) {
	t.Helper()
	dir = writeFiles(t, map[string]string{
		"tasks-resolved-count.txt":              "3",
		"running/fN1SbArXTPSVFNUvaOlinQ_1.json": `{"taskId":"fN1SbArXTPSVFNUvaOlinQ","runId":1,"takenUntil":"2031-01-31T12:00:00Z","accessToken":"hunter2"}`,
	})
	return dir, filepath.Join(writeFiles(t, map[string]string{"c.yml": fmt.Sprintf("rootURL: local\nstateDir: '%s'\n", dir)}), "c.yml")
}

func TestStatus(t *testing.T) {
	t.Parallel()
	dir, config := statusDir(t)
	for _, working := range []bool{false, true} {
		want := map[string]any{
			"stateDir": dir, "working": working, "resolved": 3.0,
			"running": []any{map[string]any{"taskId": "fN1SbArXTPSVFNUvaOlinQ", "runId": 1.0, "takenUntil": "2031-01-31T12:00:00Z"}},
		}
		lines := []string{"worker not at work", "tasks resolved 3", "cut off task fN1SbArXTPSVFNUvaOlinQ, run 1, claimed until 2031-01-31T12:00:00Z"}
		if working {
			release, err := filelock.Take(dir, "stateDir")
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			want["pid"] = float64(os.Getpid())
			lines = []string{fmt.Sprintf("worker at work, process %d", os.Getpid()), "running task fN1SbArXTPSVFNUvaOlinQ"}
		}
		text, code := output(t, statusCommand(), "--config", config, "--json")
		var got map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil || code != exit.Done {
			t.Fatalf("%v, exit code %d: %s", err, code, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		text, code = output(t, statusCommand(), "--config", config)
		plain := strings.Join(strings.Fields(text), " ")
		for _, line := range lines {
			if !strings.Contains(plain, line) || code != exit.Done {
				t.Errorf("exit code %d, no %q in:\n%s", code, line, text)
			}
		}
	}
}

func TestStatusUnreadable(t *testing.T) {
	t.Parallel()
	dir, config := statusDir(t)
	if err := os.WriteFile(filepath.Join(dir, "tasks-resolved-count.txt"), []byte("many"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, code := output(t, statusCommand(), "--config", config); code != exit.StatusUnread || !strings.Contains(text, "tasks-resolved-count.txt") {
		t.Errorf("exit code %d: %s", code, text)
	}
	if text, code := output(t, statusCommand(), "--config", filepath.Join(dir, "none.yml")); code != exit.Usage || !strings.Contains(text, "none.yml") {
		t.Errorf("exit code %d: %s", code, text)
	}
}

// TestStatusWithoutConfiguration looks where nothing is.
func TestStatusWithoutConfiguration(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	text, code := output(t, statusCommand())
	if code != exit.Done || !strings.Contains(text, "not at work") {
		t.Errorf("exit code %d: %s", code, text)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("status left %v, %v", left, err)
	}
}
