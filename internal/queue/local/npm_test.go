package local_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local"
)

// TestJavaScriptClient runs testdata/npm/story.js: the official client from
// npm, unchanged, against a served queue.
func TestJavaScriptClient(t *testing.T) {
	t.Parallel()
	node, npm := lookFor(t, "node"), lookFor(t, "npm")
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "story.js"} {
		text, err := os.ReadFile(filepath.Join("testdata", "npm", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1", "--fetch-timeout=60000")
	install.Dir = dir
	if text, err := install.CombinedOutput(); err != nil {
		t.Skipf("the package taskcluster-client cannot be installed here: %v\n%s", err, text)
	}
	s := serve(t, local.Options{LongPoll: time.Millisecond})
	story := exec.CommandContext(t.Context(), node, "story.js")
	story.Dir = dir
	story.Env = append(os.Environ(), "ROOT_URL="+s.url, "PEOPLE="+forJavaScript(t, s.Credentials()), "WORKER="+forJavaScript(t, s.WorkerCredentials()))
	if text, err := story.CombinedOutput(); err != nil {
		t.Errorf("the story ends early: %v\n%s", err, text)
	}
}

func lookFor(t *testing.T, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Skipf("%s is not installed", tool)
	}
	return path
}

func forJavaScript(t *testing.T, c queue.Credentials) string {
	t.Helper()
	text, err := json.Marshal(map[string]string{"clientId": c.ClientID, "accessToken": string(c.AccessToken)})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
