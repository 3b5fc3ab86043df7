package chainoftrust

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/internal/task"
)

// TestC1AdditionalData lets a task write all kinds of things.
func TestC1AdditionalData(t *testing.T) {
	t.Parallel()
	for how, row := range map[string]struct {
		text  string
		want  string // in the certificate; empty for no such member
		fails bool
	}{
		"an object":              {`{"a": 1.0}`, `{"a": 1.0}`, false},
		"an object in a line":    {" {} \n", `{}`, false},
		"what the worker says":   {`{"taskId":"mine","runId":99,"environment":{"outcome":"completed"},"artifacts":{"public/x":{"sha256":"00"}}}`, "the same", false},
		"the worker's, in case":  {`{"TASKID":"mine","__proto__":{"taskId":"mine"}}`, "the same", false},
		"nothing at all":         {"", "", true},
		"a list":                 {`[]`, "", true},
		"no JSON":                {`{"a": }`, "", true},
		"a member twice":         {`{"a":1,"a":2}`, "", true},
		"64 KiB":                 {`{"a":"` + strings.Repeat("x\\n", 4000) + `"}`, "the same", false},
		"more than 64 KiB":       {`{"a":["` + strings.Repeat("x", 40<<10) + `","` + strings.Repeat("x", 30<<10) + `"]}`, "", true},
		"a line gpg cuts off":    {`{"a":"` + strings.Repeat("x", 20_000) + `"}`, "", true},
		"two documents":          {`{}{}`, "", true},
		"bytes that are no text": {"{\"a\":\"\xff\"}", "", true},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			config := newConfig(t)
			run, fake := newRun(t, "{}")
			write(t, run, row.text)
			err := complete(t, config, run)
			if row.fails {
				if task.ResolutionOf(err) != task.Failed || !strings.Contains(err.Error(), AdditionalData) {
					t.Fatalf("Finish returned %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := open(t, config, fake, run)
			want := row.want
			if want == "the same" {
				want = row.text
			}
			if !sameJSON(t, string(c.Unverified), want) {
				t.Errorf("unverified is %s", c.Unverified)
			}
			if c.TaskID != run.TaskID || c.RunID != run.RunID || len(c.Artifacts) != 1 || string(c.Environment["outcome"]) != `"completed"` {
				t.Errorf("the task changed the certificate: %+v", c)
			}
		})
	}
}

// TestCertificateOfBadAdditionalData shows that there is one all the same.
func TestCertificateOfBadAdditionalData(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	run, fake := newRun(t, "{}")
	write(t, run, "[]")
	hooks := attach(t, config, run)
	if err := hooks.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	run.Resolution = task.ResolutionOf(hooks.Finish(t.Context(), task.Completed))
	if err := run.Log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := hooks.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := open(t, config, fake, run); c.Unverified != nil || string(c.Environment["outcome"]) != `"failed"` {
		t.Errorf("it says %s and %s", c.Unverified, c.Environment["outcome"])
	}
}

// TestAdditionalDataElsewhere leads the worker to other files than the task's.
func TestAdditionalDataElsewhere(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(secret, []byte(`{"secret": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for how, make := range map[string]func(dir string) error{
		"a link to a file of the worker": func(dir string) error {
			return os.Symlink(secret, filepath.Join(dir, AdditionalData))
		},
		"a directory": func(dir string) error { return os.Mkdir(filepath.Join(dir, AdditionalData), 0o700) },
		"a link to itself": func(dir string) error {
			return os.Symlink(filepath.Base(AdditionalData), filepath.Join(dir, AdditionalData))
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			run, _ := newRun(t, "{}")
			if err := os.Mkdir(filepath.Join(run.Session.Dir, filepath.Dir(AdditionalData)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := make(run.Session.Dir); err != nil {
				t.Skipf("cannot make %s here: %v", how, err)
			}
			if err := complete(t, newConfig(t), run); task.ResolutionOf(err) != task.Failed || strings.Contains(err.Error(), "secret") {
				t.Errorf("Finish returned %v", err)
			}
		})
	}
}

// sameJSON compares two documents; the empty text is the same as itself only.
func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	if a == "" || b == "" {
		return a == b
	}
	x, err := cot.Canonical([]byte(a))
	if err != nil {
		t.Fatal(err)
	}
	y, err := cot.Canonical([]byte(b))
	if err != nil {
		t.Fatal(err)
	}
	return string(x) == string(y)
}

func write(t *testing.T, run *task.Run, text string) {
	t.Helper()
	path := filepath.Join(run.Session.Dir, AdditionalData)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
