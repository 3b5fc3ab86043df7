//go:build unix

package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/internal/document"
)

// TestExposure gives the file and its directory different permissions.
func TestExposure(t *testing.T) {
	t.Parallel()
	const open = "rootURL: local\n"
	const secret = open + "accessToken: a\n"
	for _, test := range []struct {
		name      string
		text      string
		file, dir fs.FileMode
		want      string // part of the only warning; empty for none
	}{
		{"owner only", secret, 0o600, 0o700, ""},
		{"owner reads only", secret, 0o400, 0o700, ""},
		{"group reads", secret, 0o640, 0o700, "can be read by other users"},
		{"others read", secret, 0o604, 0o700, "can be read by other users"},
		{"all read", secret, 0o644, 0o700, "can be read by other users"},
		{"all read, in an open directory", secret, 0o644, 0o755, "can be read by other users"},
		{"all read no secret", open, 0o644, 0o755, ""},
		{"all read an empty secret", open + "accessToken: ''\n", 0o644, 0o755, ""},
		{"group writes", secret, 0o660, 0o700, "can be changed by other users"},
		{"others write no secret", open, 0o602, 0o700, "can be changed by other users"},
		{"all write in the directory", open, 0o600, 0o777, "can be replaced by other users"},
		{"all write in a sticky directory", secret, 0o600, 0o777 | fs.ModeSticky, ""},
		{"group writes in the directory", secret, 0o600, 0o770, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "etc")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "c.yml")
			if err := errors.Join(os.WriteFile(path, []byte(test.text), 0o600), os.Chmod(path, test.file), os.Chmod(dir, test.dir)); err != nil {
				t.Fatal(err)
			}
			warnings := load(t, path).Warnings
			if test.want == "" && len(warnings) > 0 || test.want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], test.want)) {
				t.Errorf("warnings %q, want %q", warnings, test.want)
			}
		})
	}
}

// TestExposureAbove puts the file below a directory in which everybody writes,
// and behind a link.
func TestExposureAbove(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	deep := filepath.Join(top, "a", "b")
	path := filepath.Join(deep, "c.yml")
	link := filepath.Join(t.TempDir(), "link.yml")
	if err := errors.Join(os.MkdirAll(deep, 0o755), os.WriteFile(path, []byte("rootURL: local\n"), 0o600),
		os.Symlink(path, link), os.Chmod(filepath.Join(top, "a"), 0o777)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, link} {
		if warnings := load(t, path).Warnings; len(warnings) != 1 || !strings.Contains(warnings[0], filepath.Join(top, "a")) {
			t.Errorf("%s: warnings %q, want one about %s/a", path, warnings, top)
		}
	}
}

// TestExposedSecretFile looks at the file of a secret from the environment.
func TestExposedSecretFile(t *testing.T) {
	t.Parallel()
	token := write(t, "token", "secret")
	if err := os.Chmod(token, 0o644); err != nil {
		t.Fatal(err)
	}
	warnings := load(t, "", "GENERIC_WORKER_ROOT_URL=local", "GENERIC_WORKER_ACCESS_TOKEN_FILE="+token).Warnings
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0], token+": holds secrets") {
		t.Errorf("warnings %q, want one about %s", warnings, token)
	}
}

// TestExposedIsRefused takes an engine that keeps tasks away from the worker's
// files: there, what is open is an error, behind all others.
func TestExposedIsRefused(t *testing.T) {
	t.Parallel()
	open := exposures{{Name: "c.yml", What: "can be changed by other users"}}
	wrong := document.Problems{{Name: "c.yml", What: "is wrong"}}
	for _, test := range []struct {
		name    string
		sources sources
		engine  string
		open    exposures
		fault   Fault
		lines   int // 0 for no error
	}{
		{"insecure", sources{}, "insecure", open, 0, 0},
		{"multiuser", sources{}, "multiuser", open, Exposed, 1},
		{"multiuser, closed", sources{}, "multiuser", nil, 0, 0},
		{"sandbox, invalid too", sources{problems: wrong}, "sandbox", open, Invalid, 2},
		{"sandbox, unreadable too", sources{problems: wrong, unreadable: true}, "sandbox", open, Unreadable, 2},
		{"insecure, invalid", sources{problems: wrong}, "insecure", open, Invalid, 1},
	} {
		err := test.sources.verdict(test.engine, test.open)
		if (err == nil) != (test.lines == 0) {
			t.Errorf("%s: got %v", test.name, err)
			continue
		}
		if fault, ok := errors.AsType[*Error](err); ok && (fault.Fault != test.fault || len(fault.Problems) != test.lines) {
			t.Errorf("%s: fault %d with %d problems, want %d with %d", test.name, fault.Fault, len(fault.Problems), test.fault, test.lines)
		}
	}
}
