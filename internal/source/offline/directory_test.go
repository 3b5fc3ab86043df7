package offline_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/template"
	"github.com/taskcluster/generic-worker/internal/source/offline"
)

const revision = "5a1e5c0ffee05a1e5c0ffee05a1e5c0ffee05a1e"

var (
	orchard = template.Repository{Kind: template.Mercurial, Host: "hg.example.com", Path: "fruit/orchard"}
	apple   = template.Repository{Kind: template.GitHub, Host: "github.com", Path: "orchard/apple"}
)

// write makes files below a directory.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"hg.example.com/fruit/orchard/@tree/" + revision + "/.taskcluster.yml":  "version: 1",
		"hg.example.com/fruit/orchard/@tree/" + revision + "/a%20b/%2E%2E/%3Fc": "odd",
		"hg.example.com/fruit/orchard/@facts/pushes-" + revision + ".json":      "pushes",
		"hg.example.com/fruit/orchard/@facts/landed-" + revision + ".json":      "true",
		"github.com/orchard/apple/@facts/repository.json":                       "itself",
		"github.com/orchard/apple/@facts/release-v1%2F2.json":                   "release",
		"github.com/orchard/apple/@facts/pull-request-12.json":                  strings.Repeat("x", 1001),
		"github.com/orchard/apple/@facts/landed-" + revision + ".json":          "perhaps",
		"secret": "secret",
	})
	d := offline.Directory{Path: dir, MaxBytes: 1000, Hosts: map[string]template.Kind{"hg.example.com": template.Mercurial, "github.com": template.GitHub}}
	ctx, at := t.Context(), template.Commit{Repository: orchard, Revision: revision}
	for name, row := range map[string]struct {
		get          func() ([]byte, error)
		want, reason string
	}{
		"file":     {func() ([]byte, error) { return d.File(ctx, at, ".taskcluster.yml") }, "version: 1", ""},
		"odd file": {func() ([]byte, error) { return d.File(ctx, at, "a b/../?c") }, "odd", ""},
		"pushes":   {func() ([]byte, error) { return d.Pushes(ctx, at) }, "pushes", ""},
		"repository": {func() ([]byte, error) {
			return d.Fact(ctx, template.Fact{Repository: apple, Kind: template.AboutRepository})
		}, "itself", ""},
		"release": {func() ([]byte, error) {
			return d.Fact(ctx, template.Fact{Repository: apple, Kind: template.AboutRelease, Name: "v1/2"})
		}, "release", ""},
		"too long": {func() ([]byte, error) {
			return d.Fact(ctx, template.Fact{Repository: apple, Kind: template.AboutPullRequest, Name: "12"})
		}, "", "more than 1000 bytes"},
		"absent":    {func() ([]byte, error) { return d.File(ctx, at, "absent") }, "", "does not exist"},
		"directory": {func() ([]byte, error) { return d.File(ctx, at, "a b") }, "", "it is no regular file"},
		"way out":   {func() ([]byte, error) { return d.File(ctx, at, "../../../../../secret") }, "", "does not exist"},
		"other way out": {func() ([]byte, error) {
			return d.File(ctx, template.Commit{Repository: orchard, Revision: "../../../../secret"}, "")
		}, "", "does not exist"},
		"no directory": {func() ([]byte, error) { return offline.Directory{Path: dir + "x"}.File(ctx, at, "x") }, "", "cannot open the directory"},
	} {
		got, err := row.get()
		if string(got) != row.want || (err == nil) != (row.reason == "") || err != nil && !strings.Contains(err.Error(), row.reason) {
			t.Errorf("%s: %s, error %v", name, got, err)
		}
		if errors.Is(err, chain.ErrNotFound) != (row.reason == "does not exist") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if landed, err := d.Landed(ctx, "https://hg.example.com/fruit/orchard", revision); !landed || err != nil {
		t.Error(landed, err)
	}
	for _, url := range []string{"https://hg.example.com/other", "https://github.com/orchard/apple", "https://example.com/x"} {
		if landed, err := d.Landed(ctx, url, revision); landed || err == nil || errors.Is(err, chain.ErrNotFound) {
			t.Error(url, landed, err)
		}
	}
	why := errors.New("enough")
	stopped, stop := context.WithCancelCause(ctx)
	stop(why)
	if _, err := d.Pushes(stopped, at); !errors.Is(err, why) {
		t.Error(err)
	}
}

// TestDirectoryLinks shows that a checkout cannot have links that lead out of
// the directory.
func TestDirectoryLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"secret": "secret", "inside/hg.example.com/fruit/orchard/@tree/" + revision + "/plain": "plain",
	})
	tree := filepath.Join(dir, "inside", "hg.example.com", "fruit", "orchard", "@tree", revision)
	for name, to := range map[string]string{"out": filepath.Join(dir, "secret"), "within": "plain"} {
		if err := os.Symlink(to, filepath.Join(tree, name)); err != nil {
			t.Skip("cannot make symbolic links here:", err)
		}
	}
	d, at := offline.Directory{Path: filepath.Join(dir, "inside")}, template.Commit{Repository: orchard, Revision: revision}
	if got, err := d.File(t.Context(), at, "within"); err != nil || string(got) != "plain" {
		t.Error(string(got), err)
	}
	if got, err := d.File(t.Context(), at, "out"); err == nil || errors.Is(err, chain.ErrNotFound) {
		t.Error(string(got), err)
	}
}
