package local_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/queue/local"
	"github.com/taskcluster/generic-worker/internal/tooltest"
)

// TestJavaScriptClient runs testdata/npm/story.js: the official client from
// npm, unchanged, against a served queue.
func TestJavaScriptClient(t *testing.T) {
	t.Parallel()
	dir := tooltest.NPM(t, "testdata/npm/package.json", "testdata/npm/package-lock.json", "testdata/npm/story.js")
	s := serve(t, local.Options{LongPoll: time.Millisecond})
	story := exec.CommandContext(t.Context(), "node", "story.js")
	story.Dir = dir
	story.Env = append(os.Environ(), "ROOT_URL="+s.url, "PEOPLE="+forJavaScript(t, s.Credentials()), "WORKER="+forJavaScript(t, s.WorkerCredentials()))
	if text, err := story.CombinedOutput(); err != nil {
		t.Errorf("the story ends early: %v\n%s", err, text)
	}
}

func forJavaScript(t *testing.T, c queue.Credentials) string {
	t.Helper()
	text, err := json.Marshal(map[string]string{"clientId": c.ClientID, "accessToken": string(c.AccessToken)})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
