package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/queue"
)

func TestReadStatus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	until := time.Date(2031, 1, 31, 12, 0, 0, 0, time.UTC)
	claim := func(taskID string) queue.Claim {
		return queue.Claim{TaskID: taskID, RunID: 1, TakenUntil: until, Credentials: queue.Credentials{
			ClientID: "task-client/hunter2", AccessToken: "hunter2", Certificate: "hunter2",
		}}
	}
	for _, taskID := range []string{"B", "A", "C"} {
		j.Enter(claim(taskID))
	}
	if err := j.Leave(claim("C")); err != nil {
		t.Fatal(err)
	}
	// What a crash between write and rename leaves.
	if err := os.WriteFile(filepath.Join(dir, runningDir, "A_1.json.new"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadStatus(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := Status{Resolved: 1, Running: []RunningTask{{"A", 1, until}, {"B", 1, until}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	encoded, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if shown := fmt.Sprintf("%+v %s", got, encoded); strings.Contains(shown, "hunter2") {
		t.Errorf("credentials are shown: %s", shown)
	}
}

func TestReadStatusBeforeAnyTask(t *testing.T) {
	t.Parallel()
	got, err := ReadStatus(filepath.Join(t.TempDir(), "none"))
	if err != nil || got.Resolved != 0 || got.Running == nil || len(got.Running) != 0 {
		t.Errorf("got %+v, %v; want nothing, and an empty list", got, err)
	}
}

func TestReadStatusOfWhatIsNone(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		countFile:                               "many",
		filepath.Join(runningDir, "A_0.json"):   `{"accessToken": "hunter2"`,
		filepath.Join(runningDir, "A_1.json"):   `{"runId": 1}`,
		filepath.Join(runningDir, "large.json"): strings.Repeat(" ", largestEntry) + "{}",
	} {
		dir := t.TempDir()
		if err := errors.Join(os.Mkdir(filepath.Join(dir, runningDir), 0o700), os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
		_, err := ReadStatus(dir)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want an error that quotes nothing", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadStatus(file); err == nil {
		t.Error("a file was read as a state directory")
	}
}
