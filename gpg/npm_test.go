package gpg_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/tooltest"
)

// TestJavaScript exchanges messages and keys with OpenPGP.js from npm, which
// is what makes encrypted variables in browsers and in older tools.
func TestJavaScript(t *testing.T) {
	t.Parallel()
	dir := tooltest.NPM(t, "testdata/npm/package.json", "testdata/npm/package-lock.json", "testdata/npm/story.js")
	keys := map[string]*gpg.Key{"made here": newKey(t, nil)}
	for _, name := range keyNames {
		keys[name] = testKey(t, name)
	}
	for name, k := range keys {
		result := story(t, dir, k)
		if result.Read != secretText {
			t.Errorf("%s: OpenPGP.js reads %q", name, result.Read)
		}
		for kind, message := range result.Messages {
			checkMessage(t, k, name+", "+kind, message, secretText, nil)
		}
		for kind, made := range result.Made {
			checkMessage(t, one(t, read(t, []byte(made.Key))), "made there, "+kind, made.Message, secretText, nil)
		}
		if len(result.Messages) != 5 || len(result.Made) != 2 {
			t.Errorf("%s: %d messages and %d keys", name, len(result.Messages), len(result.Made))
		}
	}
}

type storyResult struct {
	Messages map[string][]byte
	Made     map[string]struct {
		Key     string
		Message []byte
	}
	Read string
}

func story(t *testing.T, dir string, k *gpg.Key) storyResult {
	t.Helper()
	publicKey, err := k.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	privateKey, err := k.ArmorSecret()
	if err != nil {
		t.Fatal(err)
	}
	message, err := k.Encrypt([]byte(secretText))
	if err != nil {
		t.Fatal(err)
	}
	input, err := json.Marshal(map[string]any{"publicKey": string(publicKey), "privateKey": string(privateKey), "text": secretText, "message": message})
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), "node", "story.js")
	run.Dir, run.Env = dir, append(os.Environ(), "STORY="+string(input))
	run.Stderr = os.Stderr
	output, err := run.Output()
	if err != nil {
		t.Fatalf("the story ends early: %v", err)
	}
	var result storyResult
	if err := json.Unmarshal(output, &result); err != nil {
		t.Fatal(err)
	}
	return result
}
