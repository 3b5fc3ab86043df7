package metadata

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/taskcluster/generic-worker/internal/task"
)

func prepare(t *testing.T, f Feature, run *task.Run) {
	t.Helper()
	hooks, err := f.Attach(run)
	if err == nil {
		err = hooks.Prepare(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
}

// TestLastTask has runs begin at once: whoever looks finds the facts of one of
// them, whole, and nothing else is left.
func TestLastTask(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "facts.json")
	f := New(Config{Path: path, RootURL: "https://tc.example.com/"})
	var runs sync.WaitGroup
	for i := range 20 {
		runs.Go(func() { prepare(t, f, &task.Run{TaskID: "fN1SbArXTPSVFUUvaOlinQ", RunID: i}) })
	}
	runs.Wait()
	prepare(t, f, &task.Run{TaskID: "MsdnIxu4SaSpqbMUDWfdGA", RunID: 3})
	text, err := os.ReadFile(path)
	if want := `{"lastTaskUrl":"https://tc.example.com/tasks/MsdnIxu4SaSpqbMUDWfdGA/runs/3"}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v", text, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("got %v, %v", left, err)
	}
}

// TestReaders look while the file is written.
func TestReaders(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "facts.json")
	f := New(Config{Path: path, RootURL: "https://tc.example.com"})
	prepare(t, f, &task.Run{TaskID: "fN1SbArXTPSVFUUvaOlinQ"})
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := range 50 {
			prepare(t, f, &task.Run{TaskID: "MsdnIxu4SaSpqbMUDWfdGA", RunID: i, Operator: slog.New(slog.DiscardHandler)})
		}
	}()
	for reading := true; reading; {
		select {
		case <-written:
			reading = false
		default:
		}
		text, err := os.ReadFile(path)
		if err != nil {
			continue // Windows has it for one at a time
		}
		var found facts
		if err := json.Unmarshal(text, &found); err != nil || !strings.HasPrefix(found.LastTaskURL, "https://tc.example.com/tasks/") {
			t.Fatalf("got %q, %v", text, err)
		}
	}
}

// TestNotWritten is no fault of the task.
func TestNotWritten(t *testing.T) {
	t.Parallel()
	var told bytes.Buffer
	f := New(Config{Path: filepath.Join(t.TempDir(), "none", "facts.json")})
	prepare(t, f, &task.Run{TaskID: "fN1SbArXTPSVFUUvaOlinQ", Operator: slog.New(slog.NewTextHandler(&told, nil))})
	if !strings.Contains(told.String(), "set enableMetadata to false") {
		t.Errorf("the operator reads %q", told.String())
	}
	if hooks, err := New(Config{}).Attach(&task.Run{}); err != nil || hooks.Prepare != nil {
		t.Errorf("a file without a name is kept: %v", err)
	}
}
