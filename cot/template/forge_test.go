package template_test

import (
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/cot/template"
)

func TestParseRepository(t *testing.T) {
	t.Parallel()
	hosts := map[string]template.Kind{
		"hg.example.com": template.Mercurial, "github.com": template.GitHub, "hg.example.com:8443": template.Mercurial,
	}
	hg := func(path string) template.Repository {
		return template.Repository{Kind: template.Mercurial, Host: "hg.example.com", Path: path}
	}
	apple := template.Repository{Kind: template.GitHub, Host: "github.com", Path: "orchard/apple"}
	for text, want := range map[string]template.Repository{
		"https://hg.example.com/orchard":             hg("orchard"),
		"https://hg.example.com/fruit/orchard/":      hg("fruit/orchard"),
		"https://hg.example.com/orchard.git":         hg("orchard.git"),
		"https://hg.example.com:8443/orchard":        {Kind: template.Mercurial, Host: "hg.example.com:8443", Path: "orchard"},
		"https://github.com/orchard/apple":           apple,
		"https://github.com/orchard/apple.git":       apple,
		"ssh://github.com/orchard/apple.git":         apple,
		"ssh://git@github.com/orchard/apple":         apple,
		"git@github.com:orchard/apple.git":           apple,
		"https://github.com/orchard/apple-git-x":     {Kind: template.GitHub, Host: "github.com", Path: "orchard/apple-git-x"},
		"https://github.com/orchard/apple.github.io": {Kind: template.GitHub, Host: "github.com", Path: "orchard/apple.github.io"},
	} {
		if got, err := template.ParseRepository(text, hosts); err != nil || got != want {
			t.Errorf("%s: %+v, error %v", text, got, err)
		}
	}
	for text, reason := range map[string]string{
		"":                                     "on a server that the policy does not name",
		"orchard":                              "on a server that the policy does not name",
		"https://example.com/orchard":          "on a server that the policy does not name",
		"https://HG.example.com/orchard":       "on a server that the policy does not name",
		"https://hg.example.com.evil/x":        "on a server that the policy does not name",
		"https://hg.example.com@evil/x":        "names a user",
		"https://hg.example.com":               "plain names",
		"http://hg.example.com/orchard":        "does not begin with https://",
		"ssh://hg.example.com/orchard":         "does not begin with https://",
		"https://git@github.com/a/b":           "names a user",
		"ssh://eve@github.com/a/b":             "names a user",
		"ssh://git:x@github.com/a/b":           "names a user",
		"https://hg.example.com/a?b":           "more in its URL",
		"https://hg.example.com/a?":            "more in its URL",
		"https://hg.example.com/a#b":           "more in its URL",
		"https://hg.example.com/a#":            "more in its URL",
		"https://hg.example.com/a%2Fb":         "more in its URL",
		"https://hg.example.com/a/../b":        "plain names",
		"https://hg.example.com/a/./b":         "plain names",
		"https://hg.example.com/a//b":          "plain names",
		"https://hg.example.com/...":           "plain names",
		"https://hg.example.com/a b":           "plain names",
		"https://github.com/orchard":           "is not owner/name",
		"https://github.com/orchard/apple/raw": "is not owner/name",
		"https://github.com/orchard/.git":      "plain names",
		"https://[::1/x":                       "is no URL",
	} {
		if got, err := template.ParseRepository(text, hosts); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %+v, error %v", text, got, err)
		}
	}
}

// FuzzParseRepository checks that what is accepted is what it looks like.
func FuzzParseRepository(f *testing.F) {
	for _, seed := range []string{"https://hg.example.com/a", "git@github.com:a/b.git", "ssh://git@github.com/a/b", "https://x@y/z", "https://github.com/a/b/"} {
		f.Add(seed)
	}
	hosts := map[string]template.Kind{"hg.example.com": template.Mercurial, "github.com": template.GitHub}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := template.ParseRepository(text, hosts)
		if err != nil {
			return
		}
		if hosts[got.Host] != got.Kind || !strings.Contains(text, got.Path) || strings.Contains("/"+got.Path+"/", "/../") || strings.ContainsAny(got.Path, "%?#@: ") {
			t.Errorf("%q was read as %+v", text, got)
		}
		again, err := template.ParseRepository("https://"+got.Host+"/"+got.Path, hosts)
		if err != nil && !strings.HasSuffix(got.Path, ".git") || err == nil && again != got && !strings.HasSuffix(got.Path, ".git") {
			t.Errorf("%q was read as %+v, and that as %+v, error %v", text, got, again, err)
		}
	})
}

func TestReadProjects(t *testing.T) {
	t.Parallel()
	for text, reason := range map[string]string{
		"":              "there are none",
		"[]":            "cannot read projects",
		"a: {repo: []}": "cannot read projects",
		"a: {}\na: {}":  "already defined",
	} {
		if _, err := template.ReadProjects([]byte(text)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", text, err)
		}
	}
	got, err := template.ReadProjects([]byte(`
z: {repo: 'https://hg.example.com/z/', repo_type: hg, access: scm_level_2, more: x}
a: {repo: 'https://github.com/o/a', repo_type: git, default_branch: trunk, branches: [{name: main, level: 1}, {name: trunk, level: 3}]}
b: {repo: 'https://github.com/o/b', repo_type: git, branches: [{name: trunk, level: 3}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []template.Project{
		{Name: "a", Repository: "https://github.com/o/a", Level: "3"},
		{Name: "b", Repository: "https://github.com/o/b"},
		{Name: "z", Repository: "https://hg.example.com/z", Level: "2"},
	}
	for i := range want {
		if len(got) != len(want) || got[i] != want[i] {
			t.Fatalf("%+v", got)
		}
	}
}
