package chain

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/chaintest"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/cot/policy"
	"github.com/taskcluster/generic-worker/internal/queue"
)

// run runs a command and returns its exit code and what it wrote.
func run(t *testing.T, c *cobra.Command, args ...string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.SetArgs(args)
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	c.SilenceErrors, c.SilenceUsage = true, true
	err := c.ExecuteContext(t.Context())
	if coded, ok := errors.AsType[*exit.Error](err); ok {
		return coded.Code, stdout.String(), stderr.String() + coded.Error()
	}
	if err != nil {
		return exit.Usage, stdout.String(), stderr.String() + err.Error()
	}
	return exit.Done, stdout.String(), stderr.String()
}

// nobody is the environment of somebody who has set nothing.
func nobody(string) (string, queue.Credentials, error) {
	return "", queue.Credentials{}, exit.Errorf(exit.Usage, "which queue?")
}

// deployment serves a World as a queue. What is in broken is answered with status
// 400.
func deployment(t *testing.T, w *chaintest.World, broken ...string) string {
	t.Helper()
	answer := func(rw http.ResponseWriter, value any, err error) {
		if err != nil {
			rw.WriteHeader(http.StatusNotFound)
			value = map[string]string{"code": "ResourceNotFound", "message": err.Error()}
		}
		_ = json.NewEncoder(rw).Encode(value)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/queue/v1/task/{id}", func(rw http.ResponseWriter, r *http.Request) {
		task, err := w.Task(r.Context(), r.PathValue("id"))
		if err != nil {
			task = &chain.Task{}
		}
		answer(rw, task.Definition, err)
	})
	mux.HandleFunc("/api/queue/v1/task/{id}/status", func(rw http.ResponseWriter, r *http.Request) {
		var runs []map[string]any
		for i, run := range w.Tasks[r.PathValue("id")].Runs {
			runs = append(runs, map[string]any{"runId": i, "state": run.State, "started": run.Started, "resolved": run.Resolved})
		}
		answer(rw, map[string]any{"status": map[string]any{"taskId": r.PathValue("id"), "runs": runs}}, nil)
	})
	mux.HandleFunc("/api/queue/v1/task/{id}/runs/{run}/artifacts/{name}", func(rw http.ResponseWriter, r *http.Request) {
		content, err := w.Artifact(r.Context(), r.PathValue("id"), 0, r.PathValue("name"))
		if err != nil {
			answer(rw, nil, err)
			return
		}
		_, _ = io.Copy(rw, content)
	})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for _, part := range broken {
			if strings.Contains(r.URL.Path, part) {
				rw.WriteHeader(http.StatusBadRequest)
				return
			}
		}
		mux.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

const imageHash = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestVerdicts: the exit code and what is printed tell refused and undecided
// apart, from a queue as from a bundle, and artifacts are there only if all is
// verified. Templates are in the story verify-cot.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change func(w *chaintest.World)
		broken []string
		code   int
		bundle int // exit code of bundle create
		want   string
	}{
		"verified":              {code: exit.Done, want: "✓ SigningTask----------- verified\n"},
		"artifact changed":      {change: func(w *chaintest.World) { w.Tasks[chaintest.Build].Files[chaintest.Artifact] = []byte("another") }, code: exit.NotVerified, want: "✗ rule artifact-hash: "},
		"no certificate":        {change: func(w *chaintest.World) { delete(w.Tasks[chaintest.Image].Files, chaintest.ClearSigned) }, code: exit.NotVerified, want: "✗ rule certificate-present: "},
		"task not there":        {change: func(w *chaintest.World) { delete(w.Tasks, chaintest.Build) }, code: exit.NotVerified, want: "✗ rule task-definition: "},
		"artifact not readable": {broken: []string{chaintest.Artifact}, code: exit.ChainUndecided, bundle: exit.ChainUndecided, want: "? SigningTask----------- undecided\n"},
		"task not readable":     {broken: []string{"/task/" + chaintest.Image}, code: exit.ChainUndecided, bundle: exit.ChainUndecided, want: "? rule task-definition: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := chaintest.New(t, chain.GPG)
			for _, task := range []string{chaintest.Decision, chaintest.Image} {
				w.Tasks[task].Environment["imageHash"] = imageHash
			}
			w.Publish()
			w.Sign()
			if row.change != nil {
				row.change(w)
			}
			dir := t.TempDir()
			config, inputs := writePolicy(t, w, deployment(t, w, row.broken...)), filepath.Join(dir, "inputs")
			asked := []string{chaintest.Signing, "--task-type", "signing", "--no-check-task", "--config", config}
			code, out, said := run(t, VerifyCot(nobody), append(asked, "--download", inputs)...)
			if code != row.code || !strings.Contains(out, row.want) || said != "" {
				t.Errorf("exit code %d:\n%s%s", code, out, said)
			}
			got, err := os.ReadFile(filepath.Join(inputs, chaintest.Build, filepath.FromSlash(chaintest.Artifact)))
			if there := err == nil && string(got) == "a program"; there != (row.code == exit.Done) {
				t.Errorf("artifact: %q, %v", got, err)
			}
			if left, err := os.ReadDir(inputs); err != nil || row.code != exit.Done && len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}

			bundle := filepath.Join(dir, "bundle")
			code, list, said := run(t, Bundle(nobody), append([]string{"create", "--output", bundle}, asked...)...)
			if code != row.bundle || !strings.Contains(list, "task "+chaintest.Signing+" ") {
				t.Errorf("bundle create: exit code %d:\n%s%s", code, list, said)
			}
			offline := writePolicy(t, w, "http://127.0.0.1:9")
			code, again, said := run(t, VerifyCot(nobody), chaintest.Signing, "--task-type", "signing", "--no-check-task", "--config", offline, "--bundle", bundle, "--json")
			var result report.Report
			if err := json.Unmarshal([]byte(again), &result); err != nil {
				t.Fatal(err, said)
			}
			if code != row.code || !strings.Contains(out, fmt.Sprintf("%s %s\n", chaintest.Signing, result.Verdict)) {
				t.Errorf("from the bundle: exit code %d, %s", code, result.String())
			}
		})
	}
}

// writePolicy writes the policy of a World of profile gpg.
func writePolicy(t *testing.T, w *chaintest.World, rootURL string) string {
	t.Helper()
	dir := t.TempDir()
	keys := map[string]any{}
	for name, k := range w.Policy.Keys {
		entry := map[string]any{}
		var text []byte
		for _, key := range k.OpenPGP.Keys() {
			public, err := key.ArmorPublic()
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, public...)
		}
		entry["openpgp"] = []string{write(t, dir, name+".pub", text)}
		if k.CertifiedBy != nil {
			public, err := k.CertifiedBy.Keys()[0].ArmorPublic()
			if err != nil {
				t.Fatal(err)
			}
			entry["certifiedBy"] = []string{write(t, dir, name+".by", public)}
		}
		keys[name] = entry
	}
	text, err := json.Marshal(map[string]any{
		"profile": "gpg", "rootURL": rootURL, "keys": keys,
		"parentPools": w.Policy.ParentPools, "imagePools": w.Policy.ImagePools,
		"imageAllowlist":   map[string]any{"decision": []string{imageHash}, "docker-image": []string{imageHash}},
		"restrictedScopes": w.Policy.RestrictedScopes, "restrictedTrees": w.Policy.RestrictedTrees,
		"envPrefix": w.Policy.EnvPrefix, "programs": []string{"/run-task"},
		"vcs": []any{map[string]any{"schemes": []string{"https"}, "hosts": []string{"hg.example.org"}, "paths": []string{w.Policy.VCSRules[0].Paths[0].String()}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return write(t, dir, "policy.json", text)
}

func write(t *testing.T, dir, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWhoIsAsked: the flag counts before the policy, and that before the
// environment, whose credentials go nowhere else.
func TestWhoIsAsked(t *testing.T) {
	const here, there = "https://here.example.org", "https://there.example.org"
	address := func(file string) (string, queue.Credentials, error) {
		return "https://" + file + ".example.org", queue.Credentials{ClientID: file}, nil
	}
	for name, row := range map[string]struct {
		policy, environment, file string
		want, client              string
	}{
		"policy":                     {policy: here, want: here, client: "me"},
		"policy and environment":     {policy: here, environment: here + "/", want: here, client: "me"},
		"policy, other environment":  {policy: here, environment: there, want: here},
		"configuration":              {policy: here, file: "worker", want: "https://worker.example.org", client: "worker"},
		"nothing but an environment": {environment: there, want: "https://.example.org"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TASKCLUSTER_ROOT_URL", row.environment)
			t.Setenv("TASKCLUSTER_CLIENT_ID", "me")
			t.Setenv("TASKCLUSTER_ACCESS_TOKEN", base64.RawURLEncoding.EncodeToString([]byte("secret")))
			r := request{worker: row.file, address: address}
			rootURL, credentials, err := r.queue(&policy.Deployment{RootURL: row.policy})
			if err != nil || rootURL != row.want || credentials.ClientID != row.client {
				t.Errorf("%s, %s, %v", rootURL, credentials.ClientID, err)
			}
		})
	}
}

// TestProgress: what is fetched is counted, for a person only.
func TestProgress(t *testing.T) {
	t.Parallel()
	w := chaintest.New(t, chain.GPG)
	w.Publish()
	w.Sign()
	if from := watch(io.Discard).source(w); from != chain.Source(w) {
		t.Error("somebody watches what nobody sees")
	}
	var shown bytes.Buffer
	p := &progress{out: &shown}
	from := p.source(w)
	if _, err := from.Task(t.Context(), chaintest.Build); err != nil {
		t.Fatal(err)
	}
	content, err := from.Artifact(t.Context(), chaintest.Build, 0, chaintest.Artifact)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(content); err != nil || string(got) != "a program" {
		t.Fatal(string(got), err)
	}
	p.end()
	if p.tasks != 1 || p.artifacts != 1 || p.bytes != 9 {
		t.Errorf("%d tasks, %d artifacts, %d bytes", p.tasks, p.artifacts, p.bytes)
	}
	if text := shown.String(); !strings.HasPrefix(text, "\r\x1b[K1 tasks, 0 artifacts, 0.0 MiB") || !strings.HasSuffix(text, "\r\x1b[K") {
		t.Errorf("%q", text)
	}
}

// TestExitCodes: what is the fault of this program or machine has a code of its
// own, unless the task is refused all the same.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	stopped, stop := context.WithCancel(t.Context())
	stop()
	fault := []report.Link{{Rules: []report.Rule{{ID: "task-type", Verdict: report.OK}, {ID: "verifier", Verdict: report.Undecided}}}}
	for name, row := range map[string]struct {
		ctx    context.Context
		report report.Report
		code   int
	}{
		"verified":          {t.Context(), report.Report{Verdict: report.Verified}, exit.Done},
		"refused":           {t.Context(), report.Report{Verdict: report.Refused, Links: fault}, exit.NotVerified},
		"undecided":         {t.Context(), report.Report{Verdict: report.Undecided}, exit.ChainUndecided},
		"no directory":      {t.Context(), report.Report{Verdict: report.Undecided, Reason: "cannot open the directory for artifacts"}, exit.ChainFault},
		"fault of a link":   {t.Context(), report.Report{Verdict: report.Undecided, Links: fault}, exit.ChainFault},
		"stopped on demand": {stopped, report.Report{Verdict: report.Undecided, Reason: "interrupt", Links: fault}, exit.ChainUndecided},
		"something unknown": {t.Context(), report.Report{}, exit.ChainUndecided},
	} {
		got := exit.Done
		if coded, ok := errors.AsType[*exit.Error](verdictExit(row.ctx, &row.report)); ok {
			got = coded.Code
		}
		if got != row.code {
			t.Errorf("%s: exit code %d, want %d", name, got, row.code)
		}
	}
}
