package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/schemas"
)

// output runs one command and returns what it prints and its exit code.
func output(t *testing.T, c *cobra.Command, args ...string) (text string, code int) {
	t.Helper()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	if err := c.ExecuteContext(t.Context()); err != nil {
		coded, ok := errors.AsType[*exit.Error](err)
		if !ok {
			t.Fatalf("%v: an error without an exit code: %v", args, err)
		}
		return out.String() + coded.Error(), coded.Code
	}
	return out.String(), exit.Done
}

// writeFiles writes files only their owner can read, and returns their directory.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestValidate(t *testing.T) {
	t.Parallel()
	dir := writeFiles(t, map[string]string{
		"task.yml":    "metadata: {nam: x}\npayload:\n  artifacts: []\n  maxRuntime: 3\n",
		"payload.yml": "command: []\nmaxRunTime: 0\n",
		"typo.yml":    "rootURL: local\ncapacty: 2\n",
		"value.yml":   "rootURL: local\ncapacity: 0\n",
		"good.yml":    "rootURL: local\navailabilityZone: x\n",
		"syntax.yml":  "payload: [\n",
		"twice.json":  `{"payload": {}, "payload": {}}`,
	})
	for _, test := range []struct {
		args string
		code int
		want []string // beginnings of the lines
	}{
		{"task.yml", exit.Malformed, []string{
			"task.yml:1:12: /metadata/nam: is not a known key; did you mean name?",
			"task.yml:2:1: /payload/command: is missing",
			"task.yml:4:3: /payload/maxRuntime: is not a known key; did you mean maxRunTime?",
		}},
		{"payload.yml", exit.Malformed, []string{"payload.yml:1:1: /command: must not be empty", "payload.yml:2:1: /maxRunTime: must be at least 1"}},
		{"typo.yml", exit.Usage, []string{"typo.yml:2:1: /capacty: is not a known key; did you mean capacity?"}},
		{"value.yml", exit.InvalidConfig, []string{"value.yml:2:1: /capacity: must be at least 1"}},
		{"good.yml", exit.Done, []string{"warning: good.yml: /availabilityZone has no effect in this version", "good.yml: valid (config)"}},
		{"syntax.yml", exit.Usage, []string{"syntax.yml:1:1: is not YAML"}},
		{"syntax.yml --as task", exit.Malformed, []string{"syntax.yml:1:1: is not YAML"}},
		{"twice.json", exit.Usage, []string{"twice.json:1:17: /payload: is there twice"}},
		{"good.yml --as payload", exit.Malformed, []string{
			"good.yml:1:1: /command: is missing", "good.yml:1:1: /maxRunTime: is missing",
			"good.yml:1:1: /rootURL: is not a known key", "good.yml:2:1: /availabilityZone: is not a known key",
		}},
		{"task.yml --as config", exit.Usage, []string{
			"task.yml:1:1: /metadata: is not a known key", "task.yml:1:1: /rootURL: is missing", "task.yml:2:1: /payload: is not a known key",
		}},
		{"none.yml", exit.Usage, []string{"none.yml: cannot be read: "}},
		{"none.yml --as config", exit.Usage, []string{"none.yml: cannot be read: "}},
		{"good.yml value.yml typo.yml", exit.InvalidConfig, []string{
			"warning: good.yml", "good.yml: valid (config)", "value.yml:2:1", "typo.yml:2:1",
		}},
		{"good.yml --as pool", exit.Usage, []string{"--as pool is not possible"}},
	} {
		var args []string
		for _, arg := range strings.Fields(test.args) {
			if strings.Contains(arg, ".") {
				arg = filepath.Join(dir, arg)
			}
			args = append(args, arg)
		}
		text, code := output(t, validateCommand(), args...)
		if code != test.code {
			t.Errorf("%s: exit code %d, want %d", test.args, code, test.code)
		}
		text = strings.ReplaceAll(strings.TrimSpace(text), dir+string(filepath.Separator), "")
		lines := strings.Split(text, "\n")
		if len(lines) != len(test.want) {
			t.Errorf("%s: %d lines, want %d:\n%s", test.args, len(lines), len(test.want), text)
			continue
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, test.want[i]) {
				t.Errorf("%s: line %d is %q, want %q", test.args, i+1, line, test.want[i])
			}
		}
	}
}

func TestValidateJSON(t *testing.T) {
	t.Parallel()
	file := filepath.Join(writeFiles(t, map[string]string{"c.yml": "rootURL: local\ncapacty: 2\n"}), "c.yml")
	text, code := output(t, validateCommand(), "--json", file)
	if code != exit.Usage {
		t.Errorf("exit code %d, want %d", code, exit.Usage)
	}
	var got []map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	want := []map[string]any{{
		"file": file, "kind": "config", "valid": false,
		"problems": []any{map[string]any{
			"source": file, "line": 2.0, "column": 1.0, "pointer": "/capacty", "what": "is not a known key", "remedy": "did you mean capacity?",
		}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestShowSchema(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		command *cobra.Command
		want    []byte
	}{{showPayloadSchemaCommand(), schemas.Payload}, {showConfigSchemaCommand(), schemas.Config}} {
		text, code := output(t, test.command)
		if code != exit.Done || text != string(test.want) || !json.Valid([]byte(text)) {
			t.Errorf("%s: exit code %d, %d bytes, want %d", test.command.Name(), code, len(text), len(test.want))
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	text, code := output(t, versionCommand())
	if words := strings.Fields(text); code != exit.Done || len(words) < 4 || words[0] != "generic-worker" || words[1] != "version" {
		t.Errorf("exit code %d, %q", code, text)
	}
	text, _ = output(t, versionCommand(), "--json")
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil || got["version"] == "" || got["goVersion"] == "" || got["os"] == "" || got["arch"] == "" {
		t.Errorf("%v in %s", err, text)
	}
	root := &cobra.Command{Use: "generic-worker", Run: func(*cobra.Command, []string) {}}
	setVersion(root)
	line, _ := output(t, versionCommand())
	if text, code := output(t, root, "--version"); code != exit.Done || text != line {
		t.Errorf("--version prints %q, version %q", text, line)
	}
}
