package artifact

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/taskcluster/generic-worker/internal/queue"
)

func TestArtifactsWithoutContent(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	p := d.publisher(t)
	ctx := t.Context()
	steps := []func() error{
		func() error {
			return p.Reference(ctx, "live.log", "https://x.example/log?a=b&c", "text/plain", expires)
		},
		func() error { return p.Link(ctx, "live.log", "backing.log", "text/plain", expires) },
		func() error { return p.PublishError(ctx, "gone", Missing, "not\nthere", expires) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			t.Error(err)
		}
	}
	var got []map[string]any
	for _, ask := range d.asked {
		var doc map[string]any
		if err := json.Unmarshal([]byte(ask), &doc); err != nil {
			t.Fatal(err)
		}
		got = append(got, doc)
	}
	at := "2030-01-02T03:04:05.006Z"
	want := []map[string]any{
		{"storageType": "reference", "expires": at, "contentType": "text/plain", "url": "https://x.example/log?a=b&c"},
		{"storageType": "link", "expires": at, "contentType": "text/plain", "artifact": "backing.log"},
		{"storageType": "error", "expires": at, "reason": "file-missing-on-worker", "message": "not there"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	records := []Record{{Name: "gone", StorageType: TypeError}, {Name: "live.log", StorageType: TypeLink}}
	if diff := cmp.Diff(records, p.Records(), cmpopts.IgnoreFields(Record{}, "Elapsed")); diff != "" {
		t.Error(diff)
	}
}

func TestReferencesAreToWebAddresses(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	p := d.publisher(t)
	for _, bad := range []string{"", "file:///etc/passwd", "javascript:alert(1)", "https://user:pw@x.example/", "/relative", "http://"} {
		if p.Reference(t.Context(), "a", bad, "text/plain", expires) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if p.Link(t.Context(), "a", "a", "text/plain", expires) == nil {
		t.Error("a link to itself was accepted")
	}
	if asked, _ := d.counts(); asked != 0 {
		t.Errorf("announced %v", d.asked)
	}
}

func TestErrorsForOldQueues(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	d.refuse = func(string) error {
		if strings.Contains(d.asked[len(d.asked)-1], string(Unreadable)) {
			return &queue.Error{Call: "createArtifact", Status: 400, Code: "InputValidationError"}
		}
		return nil
	}
	if err := d.publisher(t).PublishError(t.Context(), "a", Unreadable, "permission denied", expires); err != nil {
		t.Error(err)
	}
	if len(d.asked) != 2 || !strings.Contains(d.asked[1], string(Invalid)) {
		t.Errorf("asked %v", d.asked)
	}
}

// TestLengthsForOldQueues: what the v44 types lack is sent only to queues that
// take it, and a refused one is not asked again.
func TestLengthsForOldQueues(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	code := "InputValidationError"
	d.refuse = func(name string) error {
		if strings.Contains(d.asked[len(d.asked)-1], "contentLength") || name == "bad" {
			return &queue.Error{Call: "createArtifact", Status: 400, Code: code}
		}
		return nil
	}
	lengths := &Lengths{}
	publish := func(name string) error {
		p := d.publisher(t)
		p.Lengths = lengths
		_, err := p.Publish(t.Context(), File{Name: name, ContentEncoding: Identity, Expires: expires, Content: file(t, []byte("abc"))})
		return err
	}
	steps := []struct {
		name, code string
		refused    bool
		asks       int // how often in all
	}{
		{"other", "InputError", true, 1},         // that is about something else
		{"bad", "InputValidationError", true, 3}, // and so is this
		{"good", "InputValidationError", false, 5},
		{"more", "InputValidationError", false, 6},
	}
	for _, step := range steps {
		code = step.code
		err := publish(step.name)
		asks, _ := d.counts()
		if (err != nil) != step.refused || asks != step.asks {
			t.Errorf("%s: %v after %d announcements", step.name, err, asks)
		}
	}
}
