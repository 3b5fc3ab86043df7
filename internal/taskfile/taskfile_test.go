package taskfile

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/document"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "task.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const minimal = "payload:\n  command: [[echo, hello]]\n  maxRunTime: 10\n"

// TestLoadFillsIn: a payload is enough; what is given stays as it is.
func TestLoadFillsIn(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, row := range map[string]struct {
		text string
		want map[string]string
		pool string
	}{
		"nothing given": {minimal, map[string]string{
			"created": "2026-01-02T03:04:05.000Z", "deadline": "2026-01-03T03:04:05.000Z", "taskQueueId": "local/generic-worker",
		}, "local/generic-worker"},
		"pool in two parts":     {minimal + "provisionerId: here\nworkerType: there\n", map[string]string{"provisionerId": "here", "taskQueueId": ""}, "here/there"},
		"pool in one":           {minimal + "taskQueueId: here/there\n", map[string]string{"taskQueueId": "here/there"}, "here/there"},
		"deadline of one's own": {minimal + "deadline: 2026-01-02T04:00:00Z\n", map[string]string{"deadline": "2026-01-02T04:00:00Z"}, "local/generic-worker"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := Load(write(t, row.text), now, Check)
			if err != nil {
				t.Fatal(err)
			}
			id, body, err := task.Encode()
			if err != nil || len(id) != 22 {
				t.Fatalf("Encode: id %q, error %v", id, err)
			}
			var definition map[string]any
			if err := json.Unmarshal(body, &definition); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for key := range row.want {
				got[key], _ = definition[key].(string)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
			if task.TaskQueueID() != row.pool {
				t.Errorf("pool %q, not %q", task.TaskQueueID(), row.pool)
			}
			metadata, _ := definition["metadata"].(map[string]any)
			for _, key := range []string{"name", "description", "owner", "source"} {
				if metadata[key] == nil || metadata[key] == "" {
					t.Errorf("metadata has no %s", key)
				}
			}
		})
	}
}

// TestLoadFindsMistakes: all of them, each with its place. A payload that this
// worker does not take is only a mistake if it is to run here.
func TestLoadFindsMistakes(t *testing.T) {
	t.Parallel()
	text := "priority: urgent\npayload:\n  image: Debian\n  command: [ls]\n  maxRunTime: 10\n"
	for name, row := range map[string]struct {
		check func(*document.Document) error
		want  []string
	}{
		"to run here":  {Check, []string{"task.yml:1:", "/priority", "task.yml:3:", "image"}},
		"to be queued": {CheckDefinition, []string{"task.yml:1:", "/priority"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(write(t, text), time.Now(), row.check)
			problems, ok := errors.AsType[document.Problems](err)
			if !ok {
				t.Fatalf("error %v is no list of problems", err)
			}
			for _, want := range row.want {
				if !strings.Contains(problems.Error(), want) {
					t.Errorf("no %q in\n%v", want, problems)
				}
			}
			if name == "to be queued" && len(problems) != 1 {
				t.Errorf("too much is found:\n%v", problems)
			}
		})
	}
}

// TestLoadOfAPayload: who gives a payload where a task is wanted is told so,
// and nothing else.
func TestLoadOfAPayload(t *testing.T) {
	t.Parallel()
	const bare = "maxRunTime: 10\ncommand: [[echo, hello]]\n"
	for name, check := range map[string]func(*document.Document) error{"to run here": Check, "to be queued": CheckDefinition} {
		_, err := Load(write(t, bare), time.Now(), check)
		problems, _ := errors.AsType[document.Problems](err)
		if len(problems) != 1 || !strings.Contains(problems[0].String(), "task.yml:2:1: /command: belongs to the payload; write payload: above it and indent") {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := Load(write(t, minimal+bare), time.Now(), check); err == nil || strings.Contains(err.Error(), "write payload:") {
			t.Errorf("%s, with a payload: got %v", name, err)
		}
	}
}

func TestCheckID(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"fN1SbArXTPSVFNUvaOlinQ": true, "Psb1Ay7QQImVLZOcpv3PRQ": true,
		"": false, "hello.yml": false, "fN1SbArXTPSVFNUvaOlinQ ": false, "fN1SbArXTPSVFNUvaOlin": false, "../../../../../../../..": false,
	}
	for id, ok := range tests {
		if err := CheckID(id); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "22 letters, digits, - and _") {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestReadBounds(t *testing.T) {
	t.Parallel()
	path := write(t, strings.Repeat("#", largest+1))
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "larger than 10 MiB") {
		t.Errorf("error %v", err)
	}
	if _, err := Read(filepath.Join(t.TempDir(), "nowhere.yml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
