package trust

import (
	"crypto/ed25519"
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/cot/chain/definition"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/gpg"
)

func parse(t testing.TB, text string) definition.Object {
	t.Helper()
	o, err := definition.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func TestImplementation(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		task, now, then string // the implementation by profile, or the beginning of the reason
	}{
		{`{"payload":{"image":"debian"}}`, "docker-worker", "docker-worker"},
		{`{"payload":{"image":{"type":"task-image"}}}`, "docker-worker", "docker-worker"},
		{`{"payload":{"image":""}}`, "nothing in the task", "nothing in the task"},
		{`{"payload":{"image":{}}}`, "nothing in the task", "nothing in the task"},
		{`{"payload":{"image":null}}`, "nothing in the task", "nothing in the task"},
		{`{"scopes":["docker-worker:cache:x"]}`, "docker-worker", "docker-worker"},
		{`{"scopes":["x:docker-worker:cache:x"]}`, "nothing in the task", "nothing in the task"},
		{`{"payload":{"mounts":[]}}`, "generic-worker", "generic-worker"},
		{`{"payload":{"osGroups":null}}`, "generic-worker", "generic-worker"},
		{`{"provisionerId":"scriptworker-prov-v1","workerType":"x"}`, "scriptworker", "scriptworker"},
		{`{"taskQueueId":"scriptworker-prov-v1/x"}`, "scriptworker", "scriptworker"},
		{`{"provisionerId":"x","workerType":"signing-linux"}`, "nothing in the task", "scriptworker"},
		{`{"tags":{"worker-implementation":"generic-worker"}}`, "generic-worker", "nothing in the task"},
		{`{"tags":{"worker-implementation":"other"}}`, "other", "nothing in the task"},
		{`{"tags":{"worker-implementation":"docker-worker"},"payload":{"image":"x"}}`, "docker-worker", "docker-worker"},
		{`{"tags":{"worker-implementation":"generic-worker"},"payload":{"image":"x"}}`, "the task could be for docker-worker", "docker-worker"},
		{`{"payload":{"image":"x","mounts":[]}}`, "the task could be for docker-worker (/payload/image) as well as for generic-worker (/payload/mounts)", "the task could be"},
		{`{}`, "nothing in the task", "nothing in the task"},
	} {
		for profile, want := range map[Profile]string{Ed25519: row.now, GPG: row.then} {
			rules := DefaultImplRules(profile)
			if profile == GPG {
				rules[2].WorkerTypes = []string{"signing-linux"}
			}
			p := &Policy{Profile: profile, ImplRules: rules}
			got, err := p.Implementation(parse(t, row.task))
			if err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, want) || err == nil && got != want || err != nil && report.VerdictOf(err) != report.Failed {
				t.Errorf("%s %s: %s", profile, row.task, got)
			}
		}
	}
}

func servers() *Policy {
	return &Policy{
		Profile: Ed25519, EnvPrefix: "TREE",
		VCSRules: []VCSRule{
			{Schemes: []string{"https", "ssh"}, Hosts: []string{"hg.example.org"}, Paths: []*regexp.Regexp{regexp.MustCompile(`^(?P<path>/trees/[^/]+)(/|$)`), regexp.MustCompile(`^(?P<path>/try)`)}},
			{Schemes: []string{"https", "ssh"}, Hosts: []string{"git.example.org"}, Paths: []*regexp.Regexp{regexp.MustCompile(`(?P<path>/[\w-]+/[\w-]+)(.git|/|$)`)}, Owners: []string{"Official"}, Landed: true},
		},
		Untrusted: Untrusted{Paths: []string{"try"}, Env: map[string][]string{"MH_BRANCH": {"try"}}, SchedulerIDs: []string{"level-1"}, TasksFor: []string{"github-pull-request"}},
	}
}

func TestRepository(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		source, head string
		path         string
		loose        bool
		mismatch     bool // only in profile ed25519
	}{
		{source: "https://hg.example.org/trees/main/file/1", path: "/trees/main"},
		{source: "https://hg.example.org/trees/main", path: "/trees/main"},
		{source: "https://HG.example.org/trees/main", path: "/trees/main"},
		{source: "https://hg.example.org:444/trees/main"},
		{source: "http://hg.example.org/trees/main"},
		{source: "https://hg.example.org.evil.org/trees/main"},
		{source: "https://evil.org/https://hg.example.org/trees/main"},
		{source: "https://hg.example.org@evil.org/trees/main"},
		{source: "https://evil@hg.example.org/trees/main", path: "/trees/main"},
		{source: "https://hg.example.org/x/trees/main"},
		{source: "https://hg.example.org/trees/main/../other/file"},
		{source: "https://hg.example.org/trees/main/%2e%2e/other"},
		{source: "https://hg.example.org/trees/%252e%252e/other"},
		{source: "https://hg.example.org/trees/ma%00in"},
		{source: `https://hg.example.org/trees\main`},
		{source: "trees/main"},
		{source: ""},
		{source: "://"},
		{source: "https://hg.example.org/tryme/file/1", path: "/try", loose: true},
		{source: "https://git.example.org/Official/app", path: "/Official/app"},
		{source: "https://git.example.org/Official/app.git", path: "/Official/app"},
		{source: "https://git.example.org/Official/app/raw/1/x", path: "/Official/app"},
		{source: "https://git.example.org/Official/app-git-evil", path: "/Official/app-git-evil"},
		{source: "https://git.example.org/Official/app!git/x", path: "/Official/app", loose: true},
		{source: "git@git.example.org:Official/app", path: "/Official/app"},
		{source: "https://hg.example.org/trees/main/file/1", head: "https://hg.example.org/trees/main", path: "/trees/main"},
		{source: "https://hg.example.org/trees/main/file/1", head: "https://hg.example.org/trees/main/", path: "/trees/main"},
		{source: "https://hg.example.org/trees/main2/file/1", head: "https://hg.example.org/trees/main", path: "/trees/main2", mismatch: true},
		{source: "https://hg.example.org/trees/main/file/1", head: "https://hg.example.org/trees/main/file/2", path: "/trees/main", mismatch: true},
		{source: "https://git.example.org/Official/app/raw/1", head: "git@git.example.org:Official/app.git", path: "/Official/app"},
		{source: "https://git.example.org/Official/app/raw/1", head: "https://hg.example.org/Official/app", path: "/Official/app", mismatch: true},
		{source: "https://git.example.org/Official/app/raw/1", head: "https://git.example.org/", path: "/Official/app", mismatch: true},
		{source: "https://git.example.org/Official/app/raw/1", head: "nonsense", path: "/Official/app", mismatch: true},
	} {
		task := definition.Object{"metadata": definition.Object{"source": row.source}}
		if row.head != "" {
			task["payload"] = definition.Object{"env": definition.Object{"TREE_HEAD_REPOSITORY": row.head}}
		}
		got, err := servers().Repository(task)
		if got.Path != row.path || got.Loose != row.loose || (err != nil) != row.mismatch {
			t.Errorf("%s in %q: %q, loose %t, %v", row.source, row.head, got.Path, got.Loose, err)
		}
		old := servers()
		old.Profile = GPG
		if _, err := old.Repository(task); err != nil {
			t.Errorf("in profile gpg, %s in %q: %v", row.source, row.head, err)
		}
	}
}

// FuzzRepository finds repositories only on the servers of the policy, and
// always a path that one of its expressions matches.
func FuzzRepository(f *testing.F) {
	for _, url := range []string{
		"https://hg.example.org/trees/main/file/1", "git@git.example.org:Official/app.git", "https://a:b@hg.example.org:1/trees/%2e/x", "ssh://hg.example.org//try/../x", "https://hg.example.org/try?x#y",
	} {
		f.Add(url, "https://hg.example.org/trees/main")
	}
	path := regexp.MustCompile(`^(/trees/[^/]+|/try|/[\w-]+/[\w-]+)$`)
	f.Fuzz(func(t *testing.T, source, head string) {
		p := servers()
		task := definition.Object{
			"metadata": definition.Object{"source": source},
			"payload":  definition.Object{"env": definition.Object{"TREE_HEAD_REPOSITORY": head}},
		}
		r, err := p.Repository(task)
		if r.Path != "" && (!path.MatchString(r.Path) || !strings.Contains(strings.ToLower(source), "example.org")) {
			t.Errorf("%q is in %q", source, r.Path)
		}
		if err == nil && head != "" && r.Path != "" && !within(source, head) {
			t.Errorf("%q is not within %q", source, head)
		}
		p.Suspect(task)
	})
}

func TestSuspect(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		task   string
		reason string
		landed bool
	}{
		{`{"metadata":{"source":"https://hg.example.org/trees/main"}}`, "", false},
		{`{"schedulerId":"level-1"}`, "its scheduler is level-1", false},
		{`{"extra":{"tasks_for":"github-pull-request"}}`, "it was made for github-pull-request", false},
		{`{"payload":{"env":{"MH_BRANCH":"try"}}}`, "its MH_BRANCH is try", false},
		{`{"metadata":{"source":"https://hg.example.org/try/file"}}`, "repository https://hg.example.org/try/file is one for try", false},
		{`{"metadata":{"source":"https://unknown.org/try-x/file"}}`, "repository https://unknown.org/try-x/file is one for try", false},
		{`{"payload":{"env":{"TREE_HEAD_REPOSITORY":"https://hg.example.org/try"}}}`, "repository https://hg.example.org/try is one for try", false},
		{`{"metadata":{"source":"https://git.example.org/official/app/raw/1"}}`, "", false},
		{`{"metadata":{"source":"https://git.example.org/stranger/app"}}`, "repository https://git.example.org/stranger/app is that of stranger and not of Official", false},
		{`{"payload":{"env":{"TREE_HEAD_REPOSITORY":"https://x:secret@git.example.org/stranger/app"}}}`, "repository https://x:xxxxx@git.example.org/stranger/app is that of stranger and not of Official", false},
		{`{"payload":{"env":{"TREE_HEAD_REPOSITORY":"https://git.example.org/Official/app"}}}`, "", true},
		{`{}`, "", false},
	} {
		if reason, landed := servers().Suspect(parse(t, row.task)); reason != row.reason || landed != row.landed {
			t.Errorf("%s: %q, %t", row.task, reason, landed)
		}
	}
}

func TestRestrictions(t *testing.T) {
	t.Parallel()
	p := &Policy{
		Profile:          Ed25519,
		RestrictedScopes: map[string]string{"sign:release": "release", "ship:*": "release", "sign:nightly": "nightly"},
		RestrictedTrees:  map[string][]string{"release": {"/trees/release"}, "nightly": {"/trees/main", "/trees/release"}},
	}
	for _, row := range []struct {
		scopes  []any
		path    string
		now     string // the reason, or nothing
		covered bool
	}{
		{[]any{"free"}, "", "", false},
		{[]any{"sign:release"}, "/trees/release", "", false},
		{[]any{"sign:release", "sign:nightly"}, "/trees/release", "", false},
		{[]any{"sign:release", "sign:nightly"}, "/trees/main", "scope sign:release is restricted to release, and repository /trees/main is not one of its trees", false},
		{[]any{"sign:nightly"}, "/trees/mai", "scope sign:nightly is restricted to nightly, and repository /trees/mai is not one of its trees", false},
		{[]any{"sign:nightly"}, "", "scope sign:nightly is restricted to nightly, and the policy does not know the repository of the task's /metadata/source", false},
		{[]any{"ship:it"}, "/trees/main", "scope ship:it is restricted to release, and repository /trees/main is not one of its trees", false},
		{[]any{"ship:"}, "/trees/release", "", false},
		{[]any{"sign:release:more"}, "", "", false},
		{[]any{"sign:*"}, "", "", true},
		{[]any{"*"}, "", "", true},
		{[]any{"ship:*"}, "/trees/release", "", false},
		{[]any{"sh*"}, "", "", true},
	} {
		task := definition.Object{"scopes": row.scopes}
		got := ""
		if err := p.Allowed(p.Restrictions(task), Repository{Path: row.path}); err != nil {
			got = err.Error()
		}
		if got != row.now || (p.Covered(task) != nil) != row.covered {
			t.Errorf("%v on %q: %q, covered: %v", row.scopes, row.path, got, p.Covered(task))
		}
	}
	p.Profile = GPG
	if found := p.Restrictions(definition.Object{"scopes": []any{"ship:it", "ship:*"}}); !slices.Equal(found, []Restriction{{"ship:*", "release"}}) {
		t.Errorf("in profile gpg a star is a star: %v", found)
	}
}

// certificate is one that both kinds of keys can sign.
func certificate(t testing.TB) []byte {
	t.Helper()
	c := cot.Certificate{
		TaskID: strings.Repeat("a", 22), WorkerGroup: "g", WorkerID: "w", Environment: map[string]json.RawMessage{},
		Task:      json.RawMessage(`{"dependencies":[],"payload":{},"scopes":[],"taskGroupId":"x","workerType":"y"}`),
		Artifacts: map[string]map[string]string{"public/x": {"sha256": strings.Repeat("0", 64)}},
	}
	body, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestMutations changes bits of signed certificates: they must be refused, or
// say the same.
func TestMutations(t *testing.T) {
	t.Parallel()
	body := certificate(t)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := gpg.Generate(gpg.Spec{Name: "worker", Algorithm: gpg.Curve25519, Now: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	file, err := key.ClearSign(body)
	if err != nil {
		t.Fatal(err)
	}
	keys := Keys{Ed25519: []Key{{Public: public}}, OpenPGP: gpg.NewKeyring(key)}
	run := Signing{Started: time.Now().Add(-time.Minute), Resolved: time.Now()}
	signature := ed25519.Sign(private, body)
	good, err := keys.OpenEd25519(body, signature, run)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	flipped := func(data []byte) []byte {
		data = slices.Clone(data)
		data[random.IntN(len(data))] ^= 1 << random.IntN(8)
		return data
	}
	for range 3000 {
		both := slices.Concat(body, signature)
		bad := flipped(both)
		if o, err := keys.OpenEd25519(bad[:len(body)], bad[len(body):], run); err == nil {
			t.Errorf("%q is signed by %s", bad, o.Signer)
		}
	}
	for range 1000 {
		bad := flipped(file)
		o, err := keys.OpenClearSigned(bad, run)
		if err == nil && cmp.Diff(good.Certificate, o.Certificate) != "" {
			t.Errorf("%q is signed by %s", bad, o.Signer)
		}
		if err != nil && report.VerdictOf(err) != report.Failed {
			t.Errorf("%v refuses nothing", err)
		}
	}
}

func TestImages(t *testing.T) {
	t.Parallel()
	now, then := &Policy{Profile: Ed25519, PrebuiltTypes: []string{"decision"}}, &Policy{Profile: GPG, ImageAllowlist: map[string][]string{"decision": {"sha256:1"}}}
	for image, want := range map[string][2]Image{
		`"debian"`: {ImageByName, ImageByName}, `{"type":"task-image"}`: {ImageFromTask, ImageFromTask}, `{"type":"indexed-image"}`: {ImageFromIndex, ImageFromTask},
		`{"type":"x"}`: {ImageOther, ImageFromTask}, `5`: {ImageOther, ImageOther}, `null`: {ImageOther, ImageOther}, `[]`: {ImageOther, ImageOther},
	} {
		task := parse(t, `{"payload":{"image":`+image+`}}`)
		if got := [2]Image{now.Image(task), then.Image(task)}; got != want {
			t.Errorf("%s: %v", image, got)
		}
	}
	task := parse(t, `{"payload":{"image":"debian"}}`)
	if now.ImagePrebuilt(task, []string{"decision"}) != nil || now.ImagePrebuilt(task, []string{"decision", "build"}) == nil {
		t.Error("ImagePrebuilt is wrong")
	}
	if (&Policy{PrebuiltTypes: []string{"any"}}).ImagePrebuilt(task, []string{"build"}) != nil {
		t.Error("any is not any")
	}
	if then.ImageAllowed([]string{"decision"}, "sha256:1") != nil || then.ImageAllowed([]string{"decision"}, "sha256:2") == nil || then.ImageAllowed([]string{"build"}, "sha256:1") == nil {
		t.Error("ImageAllowed is wrong")
	}
}
