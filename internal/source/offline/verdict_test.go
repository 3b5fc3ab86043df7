package offline_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/chaintest"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/internal/source/offline"
)

// TestBundlesVerdict verifies chains while they are recorded, and again from
// the bundles.
func TestBundlesVerdict(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change  func(*chaintest.World)
		verdict report.Verdict
	}{
		"good": {func(*chaintest.World) {}, report.Verified},
		"changed artifact": {func(w *chaintest.World) {
			w.Tasks[chaintest.Build].Files[chaintest.Artifact] = []byte("another program")
		}, report.Refused},
		"absent certificate": {func(w *chaintest.World) {
			delete(w.Tasks[chaintest.Image].Files, "public/chain-of-trust.json")
		}, report.Refused},
		"absent task": {func(w *chaintest.World) { delete(w.Tasks, chaintest.Image) }, report.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := chaintest.New(t, chain.Ed25519)
			w.Publish()
			w.Sign()
			row.change(w)
			dir := filepath.Join(t.TempDir(), "bundle")
			recorder, err := offline.NewRecorder(dir, offline.Answers{Source: w})
			if err != nil {
				t.Fatal(err)
			}
			request := w.Request(t.TempDir())
			request.Source = recorder
			first := chain.Verify(t.Context(), request)
			if err := recorder.Finish(); err != nil {
				t.Fatal(err)
			}
			if first.Verdict != row.verdict {
				t.Errorf("%s\n%s", first.Verdict, first)
			}
			request.Source, request.Dir = open(t, dir), t.TempDir()
			if diff := cmp.Diff(first.String(), chain.Verify(t.Context(), request).String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
