package policy

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/trust"
	"github.com/taskcluster/generic-worker/cot/keyrepo"
	"github.com/taskcluster/generic-worker/cot/template"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/internal/pagetest"
	"github.com/taskcluster/generic-worker/schemas"
)

var update = flag.Bool("update", false, "write the table in docs/verification.md")

// TestExample: the example is a policy, and says what its comments say.
func TestExample(t *testing.T) {
	t.Parallel()
	d, err := Load(t.Context(), "../../examples/chain-policy.yml")
	if err != nil {
		t.Fatal(err)
	}
	p := d.Policy
	if d.RootURL != "https://tc.example.org" || p.Profile != chain.Ed25519 || p.Compat || len(p.ImplRules) != 3 || len(d.Projects) != 2 {
		t.Errorf("got %+v, %+v", d, p)
	}
	key := p.Keys["scriptworker"].Ed25519[0]
	if key.Name != "scriptworker 2030" || key.Reason != "the machine was stolen" || !key.Revoked.Equal(time.Date(2031, 3, 1, 0, 0, 0, 0, time.UTC)) || len(key.Public) != 32 {
		t.Errorf("got %+v", key)
	}
	for url, path := range map[string]string{
		"https://hg.example.org/releases/stable/file/0123/a":  "/releases/stable",
		"https://hg.example.org/main":                         "/main",
		"https://github.com/example-org/app/raw/abcd/task.py": "/example-org/app",
		"ssh://github.com/example-org/app.git":                "/example-org/app",
		"https://github.com/somebody/app":                     "",
		"http://hg.example.org/main":                          "",
	} {
		if got := repository(t, p, url); got != path {
			t.Errorf("%s: got %q, want %q", url, got, path)
		}
	}
	if diff := cmp.Diff(map[string]template.Kind{"hg.example.org": template.Mercurial, "github.com": template.GitHub}, d.Kinds()); diff != "" {
		t.Error(diff)
	}
}

func repository(t *testing.T, p *chain.Policy, source string) string {
	t.Helper()
	found, err := p.Repository(definition.Object{"metadata": definition.Object{"source": source}})
	if err != nil {
		t.Fatal(err)
	}
	return found.Path
}

const smallest = "profile: ed25519\n"

func read(t *testing.T, text string) (*Deployment, error) {
	t.Helper()
	return readIn(t, t.TempDir(), text)
}

func readIn(t *testing.T, dir, text string) (*Deployment, error) {
	t.Helper()
	path := filepath.Join(dir, "policy.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Load(t.Context(), path)
	if err != nil {
		return nil, fmt.Errorf("%s", strings.ReplaceAll(err.Error(), path, "policy.yml"))
	}
	return d, nil
}

// TestLeftOut: what a file does not say trusts nothing, but for what comes with
// the profile.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	for _, profile := range []chain.Profile{chain.Ed25519, chain.GPG} {
		d, err := read(t, fmt.Sprintf("profile: %s\n", profile))
		if err != nil {
			t.Fatal(err)
		}
		want := &Deployment{Policy: &chain.Policy{
			Profile: profile, TaskTypes: trust.DefaultTaskTypes(profile), ImplRules: trust.DefaultImplRules(profile), Keys: map[string]chain.Keys{},
		}}
		if diff := cmp.Diff(want, d); diff != "" {
			t.Errorf("%s: %s", profile, diff)
		}
	}
}

func TestPathsStartAtTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := gpg.Generate(gpg.Spec{Name: "worker", Algorithm: gpg.Curve25519})
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"worker.pub":   string(public),
		"projects.yml": "main: {repo: https://hg.example.org/main, repo_type: hg, access: scm_level_3}\n",
		"policy.yml": "profile: gpg\nkeys: {docker-worker: {openpgp: [worker.pub], certifiedBy: [" + filepath.Join(dir, "worker.pub") + "]}}\n" +
			"projectsFile: projects.yml\nrepositories: trees\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Load(t.Context(), filepath.Join(dir, "policy.yml"))
	if err != nil {
		t.Fatal(err)
	}
	keys := d.Policy.Keys["docker-worker"]
	for name, ring := range map[string]*gpg.Keyring{"openpgp": keys.OpenPGP, "certifiedBy": keys.CertifiedBy} {
		if found, ok := ring.Find(key.Fingerprint()); !ok || len(ring.Keys()) != 1 {
			t.Errorf("%s has %v", name, found)
		}
	}
	if d.Repositories != filepath.Join(dir, "trees") {
		t.Errorf("repositories are in %s", d.Repositories)
	}
	if diff := cmp.Diff([]template.Project{{Name: "main", Repository: "https://hg.example.org/main", Level: "3"}}, d.Projects); diff != "" {
		t.Error(diff)
	}
}

// TestKeyState: the keys of the repository in use count, and no others beside them.
func TestKeyState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fingerprints := map[string]string{}
	for _, name := range []string{"generic-worker/a.pub", "scriptworker/trusted/b.pub", "scriptworker/valid/c.pub"} {
		key, err := gpg.Generate(gpg.Spec{Name: name, Algorithm: gpg.Curve25519})
		if err != nil {
			t.Fatal(err)
		}
		public, err := key.ArmorPublic()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "keys", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, public, 0o600); err != nil {
			t.Fatal(err)
		}
		fingerprints[name] = key.Fingerprint()
	}
	set, err := keyrepo.ReadFiles(t.Context(), filepath.Join(dir, "keys"), nil)
	if err != nil {
		t.Fatal(err)
	}
	set.Release = keyrepo.Release{Tag: "production-1", Commit: strings.Repeat("0", 40), Tagged: time.Now()}
	if _, err := (keyrepo.Store{Dir: filepath.Join(dir, "state", "keys")}).Update(t.Context(), set, false); err != nil {
		t.Fatal(err)
	}
	d, err := readIn(t, dir, "profile: gpg\nkeyState: state\n")
	if err != nil {
		t.Fatal(err)
	}
	keys := d.Policy.Keys
	for name, ring := range map[string]*gpg.Keyring{
		"generic-worker/a.pub": keys["generic-worker"].OpenPGP, "scriptworker/trusted/b.pub": keys["scriptworker"].CertifiedBy, "scriptworker/valid/c.pub": keys["scriptworker"].OpenPGP,
	} {
		if _, ok := ring.Find(fingerprints[name]); !ok || len(ring.Keys()) != 1 {
			t.Errorf("%s does not count", name)
		}
	}
	if keys["generic-worker"].CertifiedBy != nil || len(keys) != 2 {
		t.Errorf("got %v", keys)
	}
	_, err = readIn(t, dir, "profile: gpg\nkeyState: state\nkeys: {scriptworker: {openpgp: [keys/generic-worker]}}\n")
	if want := "/keys/scriptworker: has OpenPGP keys here and in /keyState; remove them in one of the places"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

const good = `"O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="`

func TestBroken(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ text, want string }{
		"no profile":          {"compat: true\n", `policy.yml:1:1: /profile: is missing; add for example "profile": "ed25519"`},
		"other profile":       {"profile: pgp\n", `policy.yml:1:1: /profile: must be one of "ed25519", "gpg", not the string "pgp"`},
		"misspelt":            {smallest + "restrictedScope: {}\n", "policy.yml:2:1: /restrictedScope: is not a known key; did you mean restrictedScopes?"},
		"misspelt further in": {smallest + "untrusted:\n  path: [try]\n", "policy.yml:3:3: /untrusted/path: is not a known key; did you mean paths?"},
		"twice":               {smallest + smallest, "policy.yml:2:1: /profile: is there twice"},
		"kind":                {smallest + "taskTypes: {parent: parents}\n", `policy.yml:2:13: /taskTypes/parent: must be one of "parent"`},
		"no beginning":        {smallest + "taskTypes: {build: plain}\n", "policy.yml:2:1: /taskTypes: has no type that is parent, so that no chain has a beginning; add decision: parent"},
		"no parent":           {smallest + "taskTypes: {decision: parent}\n", "/taskTypes: does not have parent, as which the task that made another one is verified; add parent: parent"},
		"key":                 {smallest + "keys:\n  docker-worker:\n    ed25519:\n    - key: short\n", `policy.yml:5:7: /keys/docker-worker/ed25519/0/key: must be a public key of 32 bytes in base64, as new-ed25519-keypair prints it, not the string "short"`},
		"weak key":            {smallest + "keys: {docker-worker: {ed25519: [{key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=}]}}\n", "/keys/docker-worker/ed25519/0/key: cannot be used: "},
		"implementation":      {"profile: gpg\nkeys: {dockerworker: {ed25519: [{key: " + good + "}]}}\n", "/keys/dockerworker: is an implementation that nothing shows; add it to /implementations"},
		"no key":              {"profile: gpg\nkeys: {docker-worker: {ed25519: [{key: " + good + "}]}}\n", "/keys/docker-worker: has no key of profile gpg, so that no certificate can be verified; write openpgp"},
		"dates":               {smallest + "keys: {docker-worker: {ed25519: [{key: " + good + ", notBefore: 2031-01-01T00:00:00Z, notAfter: 2030-01-01T00:00:00Z}]}}\n", "/notAfter: is before notBefore"},
		"date":                {smallest + "keys: {docker-worker: {ed25519: [{key: " + good + ", notBefore: 2031-01-01}]}}\n", "/notBefore: must be a date and time"},
		"pool":                {smallest + "keys: {docker-worker: {ed25519: [{key: " + good + ", pools: [builders]}]}}\n", "/pools/0: is no pool; write provisionerId/workerType"},
		"no file":             {"profile: gpg\nkeys: {docker-worker: {openpgp: [nowhere.pub]}}\n", "/keys/docker-worker/openpgp/0: cannot be used: "},
		"level":               {smallest + "restrictedScopes:\n  project:a: release\n", "policy.yml:3:3: /restrictedScopes/project:a: is restricted to release, which /restrictedTrees does not have"},
		"star":                {"profile: gpg\nrestrictedScopes: {'project:*': a}\nrestrictedTrees: {a: []}\n", "has a * that stands for itself"},
		"star inside":         {smallest + "restrictedScopes: {'project:*:a': a}\nrestrictedTrees: {a: []}\n", "has a * that stands for itself"},
		"tree":                {smallest + "restrictedTrees: {a: [main]}\n", "/restrictedTrees/a/0: must be the path of a repository with the slash it begins with"},
		"expression":          {smallest + "vcs: [{schemes: [https], hosts: [a], paths: ['^(/']}]\n", "/vcs/0/paths/0: is no regular expression: "},
		"no group":            {smallest + "vcs: [{schemes: [https], hosts: [a], paths: ['^/(.*)']}]\n", "/vcs/0/paths/0: has no group that is named path"},
		"host":                {smallest + "vcs: [{schemes: [https], hosts: [GitHub.com], paths: ['^(?P<path>/.*)']}]\n", "/vcs/0/hosts/0: has upper-case letters, and hosts are compared in lower case; write github.com"},
		"allow-list":          {"profile: gpg\nimageAllowlist: {builds: []}\n", "/imageAllowlist/builds: is no type of task"},
		"hash":                {"profile: gpg\nimageAllowlist: {build: ['md5:0']}\n", "/imageAllowlist/build/0: must be sha256: and 64 hexadecimal digits"},
		"prebuilt":            {smallest + "prebuiltTypes: [images]\n", "/prebuiltTypes/0: is no type of task"},
		"server":              {smallest + "servers: {example.org: {kind: git}}\n", `/servers/example.org/kind: must be one of "hg", "github"`},
		"no store":            {"profile: gpg\nkeyState: nowhere\n", "/keyState: cannot be used: "},
		"acceptance":          {smallest + "accept: [anything]\n", `/accept/0: must be one of "keysReadableByTasks"`},
		"projects":            {smallest + "projectsFile: nowhere.yml\n", "/projectsFile: cannot be used: "},
		"level of a project":  {smallest + "projects: [{name: a, repository: b, level: 3}]\n", `/projects/0/level: must be`},
		"limit":               {smallest + "limits: {links: 0}\n", "/limits/links: must be at least 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, row.text)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v\nwant %s", err, row.want)
			}
		})
	}
}

// TestEveryProblem: all of them are told at once, in the order of the file.
func TestEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := read(t, smallest+"prebuiltTypes: [a]\nrestrictedScopes: {b: c}\n")
	if lines := strings.Split(fmt.Sprint(err), "\n"); len(lines) != 2 || !strings.Contains(lines[0], "policy.yml:2:") || !strings.Contains(lines[1], "policy.yml:3:") {
		t.Errorf("got %v", err)
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	_, err := Load(t.Context(), filepath.Join(t.TempDir(), "nowhere.yml"))
	if err == nil || !strings.Contains(err.Error(), "cannot read the policy: ") {
		t.Errorf("got %v", err)
	}
	if _, err := read(t, strings.Repeat("#\n", largestFile)); err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("got %v", err)
	}
}

func FuzzRead(f *testing.F) {
	example, err := os.ReadFile("../../examples/chain-policy.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{string(example), smallest, "profile: gpg\ntaskTypes: {}\n", smallest + "vcs: [{schemes: [a], hosts: [b], paths: ['(']}]\n"} {
		f.Add(text)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := document.Parse("policy.yml", []byte(text))
		if err != nil {
			return
		}
		d, err := Read(t.Context(), doc, dir)
		if err == nil && d.Policy.Profile != chain.Ed25519 && d.Policy.Profile != chain.GPG {
			t.Errorf("profile %q", d.Policy.Profile)
		}
	})
}

const page = "../../docs/verification.md"

// TestPage sees to it that the table of keys in docs/verification.md is that of the
// schema; -update writes it.
func TestPage(t *testing.T) {
	t.Parallel()
	var root part
	if err := json.Unmarshal(schemas.ChainPolicy, &root); err != nil {
		t.Fatal(err)
	}
	table := "\n| Key | Meaning |\n|---|---|\n" + root.rows(t, "")
	pagetest.Compare(t, page, map[string]string{"policy": table}, *update)
}

// part is what the page shows of a part of the schema.
type part struct {
	Description string          `json:"description"`
	Enum        []string        `json:"enum"`
	Default     json.RawMessage `json:"default"`
	Properties  json.RawMessage `json:"properties"`
	Items       *part           `json:"items"`
	Rest        json.RawMessage `json:"additionalProperties"`
}

// rows has a row for each property, in the order of the schema, and below it
// those of the objects in it.
func (p part) rows(t *testing.T, front string) string {
	t.Helper()
	rest := part{}
	if strings.HasPrefix(string(p.Rest), "{") {
		if err := json.Unmarshal(p.Rest, &rest); err != nil {
			t.Fatal(err)
		}
		front += "*."
	}
	if p.Items != nil {
		return p.Items.rows(t, strings.TrimSuffix(front, ".")+"[].")
	}
	if p.Properties == nil {
		p = rest
	}
	if p.Properties == nil {
		return ""
	}
	decoder := json.NewDecoder(strings.NewReader(string(p.Properties)))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	table := ""
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		var inner part
		if err := decoder.Decode(&inner); err != nil {
			t.Fatal(err)
		}
		text := inner.Description
		if inner.Enum != nil {
			text += " `" + strings.Join(inner.Enum, "`, `") + "`."
		}
		if inner.Default != nil {
			text += fmt.Sprintf(" Left out, `%s`.", strings.Trim(string(inner.Default), `"`))
		}
		table += fmt.Sprintf("| `%s%s` | %s |\n", front, name, text)
		table += inner.rows(t, front+fmt.Sprint(name)+".")
	}
	return table
}
