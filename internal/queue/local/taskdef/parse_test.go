package taskdef_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/queue/local/taskdef"
)

var now = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

const (
	taskID = "fN1SbArXTPSVFNUvaOlinQ"
	least  = `"created":"2030-01-31T12:00:00Z","deadline":"2030-01-31T13:00:00.123456+01:00","payload":{"b":1,"a":[1.50]},` +
		`"metadata":{"name":"n","description":"d","owner":"o","source":"https://example.com/<x>"}`
)

func TestDefaults(t *testing.T) {
	t.Parallel()
	d, err := taskdef.Parse(taskID, []byte(`{`+least+`,"taskQueueId":"p/w"}`), now)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"provisionerId":"p","workerType":"w","taskQueueId":"p/w","schedulerId":"-","projectId":"none",` +
		`"taskGroupId":"` + taskID + `","dependencies":[],"requires":"all-completed","routes":[],"priority":"lowest","retries":5,` +
		`"created":"2030-01-31T12:00:00.000Z","deadline":"2030-01-31T12:00:00.123Z","expires":"2031-01-31T12:00:00.123Z","scopes":[],` +
		`"payload":{"b":1,"a":[1.50]},"metadata":{"name":"n","description":"d","owner":"o","source":"https://example.com/<x>"},` +
		`"tags":{},"extra":{}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("definition differs (-want +got):\n%s", diff)
	}
	again, err := taskdef.Parse(taskID, got, now)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := again.Encode(); err != nil || !taskdef.Same(text, got) {
		t.Errorf("parsed again it is %s, %v", text, err)
	}
}

// TestProblems checks that every problem is found in one reading, and where.
func TestProblems(t *testing.T) {
	t.Parallel()
	for document, want := range map[string][]string{
		`{}`:              {"/created", "/deadline", "/payload", "/metadata"},
		`[]`:              {""},
		`{` + least + `}`: {"/taskQueueId"},
		`{` + least + `,"taskQueueId":"p/w","provisionerId":"p","workerType":"x"}`: {"/taskQueueId"},
		`{` + least + `,"taskQueueId":"p/w","Retries":1,"a/b~c":1,"retries":-1}`:   {"/retries", "/Retries", "/a~1b~0c"},
		`{` + least + `,"taskQueueId":"p/w","dependencies":["x","` + taskID + `","` + taskID + `"],"scopes":["a**"],"routes":[1]}`: {
			"/dependencies/0", "/dependencies/2", "/routes", "/scopes/0",
		},
		`{"taskQueueId":"p/w","created":null,"deadline":5,"payload":null,"metadata":{"name":1,"source":"ftp://x"}}`: {
			"/created", "/deadline", "/payload", "/metadata/name", "/metadata/description", "/metadata/owner", "/metadata/source",
		},
		`{` + least + `,"taskQueueId":"p/w","expires":"2030-01-31T11:00:00Z","created":"2030-01-31T12:16:00Z"}`:    {"/created", "/deadline", "/expires"},
		`{` + least + `,"taskQueueId":"p/w","tags":{"a":"` + strings.Repeat("x", 4097) + `"},"extra":{"n":1e999}}`: {"/tags/a", "/extra"},
	} {
		_, err := taskdef.Parse(taskID, []byte(document), now)
		invalid, is := errors.AsType[*taskdef.Invalid](err)
		if !is {
			t.Errorf("%s: %v, want problems at %v", document, err, want)
			continue
		}
		var got []string
		for _, p := range invalid.Problems {
			got = append(got, p.Pointer)
			if p.Text == "" || !strings.Contains(err.Error(), p.Text) {
				t.Errorf("%s: the error does not say %q", document, p.Text)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: problems are elsewhere (-want +got):\n%s", document, diff)
		}
	}
}

func TestAtLeast(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"highest", "very-high", "high"}, taskdef.AtLeast("high")); diff != "" {
		t.Errorf("priorities differ:\n%s", diff)
	}
}

// FuzzParse checks that whatever is accepted is complete and stays the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{` + least + `,"taskQueueId":"p/w"}`))
	f.Add([]byte(`{` + least + `,"taskQueueId":"p/w","tags":{"a":"b"},"extra":{"c":[]},"scopes":["*"],"routes":["r"],"priority":"high"}`))
	f.Add([]byte(`{"metadata":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := taskdef.Parse(taskID, body, now)
		if err != nil {
			if invalid, is := errors.AsType[*taskdef.Invalid](err); !is || len(invalid.Problems) == 0 {
				t.Errorf("refused without a problem: %v", err)
			}
			return
		}
		text, err := d.Encode()
		if err != nil || !json.Valid(text) {
			t.Fatalf("encoded as %s, %v", text, err)
		}
		again, err := taskdef.Parse(taskID, text, now)
		if err != nil {
			t.Fatalf("%s is refused: %v", text, err)
		}
		if second, err := again.Encode(); err != nil || !taskdef.Same(text, second) {
			t.Errorf("%s became %s, %v", text, second, err)
		}
	})
}
