package trust

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/task"
)

const (
	taskID = "LnshJjNXTfeBlPNrAzyy9w"
	zeros  = "0000000000000000000000000000000000000000000000000000000000000000"
)

// saved signs a certificate about one artifact and saves its files in a directory.
func saved(t *testing.T, keys cot.Signer) (task.Summary, string) {
	t.Helper()
	files, err := keys.Sign(&cot.Certificate{
		TaskID: taskID, WorkerGroup: "g", WorkerID: "w",
		Task:        json.RawMessage(`{"dependencies":[],"scopes":[],"payload":{},"taskGroupId":"g","workerType":"w"}`),
		Artifacts:   map[string]map[string]string{"public/a": {cot.SHA256: zeros}},
		Environment: map[string]json.RawMessage{},
	}, cot.Build{})
	if err != nil {
		t.Fatal(err)
	}
	s := task.Summary{TaskID: taskID, Artifacts: []artifact.Record{{Name: "public/a", SHA256: zeros}}}
	dir := t.TempDir()
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Content, 0o600); err != nil {
			t.Fatal(err)
		}
		s.Artifacts = append(s.Artifacts, artifact.Record{Name: f.Name, SHA256: "some"})
	}
	return s, dir
}

func TestVerify(t *testing.T) {
	t.Parallel()
	c, err := ThrowAwayKeys()
	if err != nil {
		t.Fatal(err)
	}
	other, err := ThrowAwayKeys()
	if err != nil {
		t.Fatal(err)
	}
	s, dir := saved(t, c.Keys)
	got, err := Verify(c.Keys, s, dir)
	if err != nil || got.Artifacts != 1 || got.KeyID != cot.KeyID(c.Keys.Ed25519.Public()) || got.Fingerprint != c.Keys.OpenPGP.Fingerprint() {
		t.Fatalf("got %+v, %v", got, err)
	}
	var shown bytes.Buffer
	if err := got.Print(&shown); err != nil || !strings.Contains(shown.String(), `"taskId": "`+taskID) || strings.Count(shown.String(), "✓ ") != 3 {
		t.Errorf("%v, shown is %s", err, shown.String())
	}
	if got, err := Verify(c.Keys, task.Summary{TaskID: taskID, Artifacts: []artifact.Record{{Name: "public/a"}}}, dir); got != nil || err != nil {
		t.Errorf("without a certificate: %+v, %v", got, err)
	}
	spoil := func(name string) func(*testing.T, *task.Summary, string, *cot.Signer) {
		return func(t *testing.T, _ *task.Summary, dir string, _ *cot.Signer) {
			path := filepath.Join(dir, filepath.FromSlash(name))
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			content[len(content)/4] ^= 1 // in the text, whatever stands around it
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for how, change := range map[string]func(*testing.T, *task.Summary, string, *cot.Signer){
		"another certificate":       spoil(cot.BodyName),
		"another signature":         spoil(cot.SignatureName),
		"another clear-signed text": spoil(cot.ClearSignedName),
		"another ed25519 key":       func(_ *testing.T, _ *task.Summary, _ string, k *cot.Signer) { k.Ed25519 = other.Keys.Ed25519 },
		"another OpenPGP key":       func(_ *testing.T, _ *task.Summary, _ string, k *cot.Signer) { k.OpenPGP = other.Keys.OpenPGP },
		"another task":              func(_ *testing.T, s *task.Summary, _ string, _ *cot.Signer) { s.TaskID = "AAAAAAAAQ_CAAAAAAAAAAA" },
		"another run":               func(_ *testing.T, s *task.Summary, _ string, _ *cot.Signer) { s.RunID++ },
		"another hash":              func(_ *testing.T, s *task.Summary, _ string, _ *cot.Signer) { s.Artifacts[0].SHA256 = "1" + zeros[1:] },
		"no such artifact":          func(_ *testing.T, s *task.Summary, _ string, _ *cot.Signer) { s.Artifacts = s.Artifacts[1:] },
		"no signature": func(t *testing.T, _ *task.Summary, dir string, _ *cot.Signer) {
			if err := os.Remove(filepath.Join(dir, filepath.FromSlash(cot.SignatureName))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			keys := c.Keys
			s, dir := saved(t, keys)
			change(t, &s, dir, &keys)
			if got, err := Verify(keys, s, dir); err == nil {
				t.Errorf("verified as %+v", got)
			}
		})
	}
}
