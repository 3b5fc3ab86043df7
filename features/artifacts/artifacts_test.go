package artifacts

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/task/tasktest"
	"github.com/taskcluster/generic-worker/payload"
)

// stage is a claimed run of a task, up to where its commands are done.
type stage struct {
	fake *queuetest.Fake
	run  *task.Run
	dir  string
}

func newStage(t testing.TB, o queuetest.FakeOptions) *stage {
	t.Helper()
	s := &stage{fake: queuetest.StartFake(t, o)}
	s.fake.AddTask(map[string]any{})
	s.run = tasktest.Claimed(t, s.fake)
	s.dir = s.run.Session.Dir
	return s
}

func (s *stage) write(t testing.TB, path, content string) {
	t.Helper()
	full := filepath.Join(s.dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// finish runs the feature's stages.
func (s *stage) finish(t testing.TB, config Config, artifacts ...payload.Artifact) error {
	t.Helper()
	return s.finishUnder(t.Context(), t, config, artifacts...)
}

func (s *stage) finishUnder(ctx context.Context, t testing.TB, config Config, artifacts ...payload.Artifact) error {
	t.Helper()
	s.run.Payload.Artifacts = artifacts
	hooks, err := New(config).Attach(s.run)
	if err != nil {
		t.Fatal(err)
	}
	if err := hooks.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	return hooks.Finish(ctx, task.Completed)
}

// kept returns what the queue has: content of files, and reasons of errors.
func (s *stage) kept(t testing.TB) map[string]string {
	t.Helper()
	run, _ := s.fake.Run(s.run.TaskID, s.run.RunID)
	all := map[string]string{}
	for _, a := range run.Artifacts {
		var request struct{ Reason string }
		if err := json.Unmarshal(a.Request, &request); err != nil {
			t.Fatal(err)
		}
		switch {
		case a.StorageType == "error":
			all[a.Name] = "error " + request.Reason
		case a.ContentEncoding == "gzip":
			all[a.Name] = "gzip"
		default:
			all[a.Name] = string(a.Body)
		}
	}
	if bad := s.fake.Violations(); len(bad) != 0 {
		t.Errorf("violations: %q", bad)
	}
	return all
}

func file(path, name string) payload.Artifact {
	return payload.Artifact{Type: payload.File, Path: path, Name: name, ContentEncoding: "identity"}
}

func directory(path, name string) payload.Artifact {
	return payload.Artifact{Type: payload.Directory, Path: path, Name: name, ContentEncoding: "identity"}
}

// glob is a pattern with the name it has by default.
func glob(pattern string, maxFiles int) payload.Artifact {
	p, err := payload.ParsePattern(pattern)
	if err != nil {
		panic(err)
	}
	name := p.Dir
	if name == "." {
		name = ""
	}
	return payload.Artifact{Type: payload.Glob, Path: pattern, Name: name, MaxFiles: maxFiles, ContentEncoding: "identity"}
}

func named(a payload.Artifact, name string) payload.Artifact {
	a.Name = name
	return a
}

func compressed(a payload.Artifact) payload.Artifact {
	a.ContentEncoding = "gzip"
	return a
}

func optional(a payload.Artifact) payload.Artifact {
	a.Optional = true
	return a
}

func TestArtifacts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files     map[string]string
		links     map[string]string
		config    Config
		artifacts []payload.Artifact
		reserved  string
		so        task.Resolution
		kept      map[string]string
		log       string
	}{
		"a file and a directory": {
			files:     map[string]string{"a.txt": "A", "out/b.txt": "B", "out/sub/deep/c.txt": "C", "out/empty": "", "other": "x"},
			artifacts: []payload.Artifact{file("a.txt", "public/first"), directory("out", "public/out")},
			kept:      map[string]string{"public/first": "A", "public/out/b.txt": "B", "public/out/sub/deep/c.txt": "C", "public/out/empty": ""},
			log:       "Published 4 artifacts, 3 bytes",
		},
		"one file": {
			files:     map[string]string{"a": "A"},
			artifacts: []payload.Artifact{file("a", "public/a")},
			kept:      map[string]string{"public/a": "A"},
			log:       "Published 1 artifact, 1 byte, in",
		},
		"the whole directory of the task": {
			files:     map[string]string{"a": "A", "b/c": "C"},
			artifacts: []payload.Artifact{directory(".", "")},
			kept:      map[string]string{"a": "A", "b/c": "C"},
		},
		"an empty directory": {
			files:     map[string]string{"out/x/y": ""},
			artifacts: []payload.Artifact{directory("out/x", "public/x")},
			kept:      map[string]string{"public/x/y": ""},
		},
		"a file that is missing": {
			files:     map[string]string{"b": "B"},
			artifacts: []payload.Artifact{file("a", "public/a"), file("b", "public/b")},
			so:        task.Failed,
			kept:      map[string]string{"public/a": "error file-missing-on-worker", "public/b": "B"},
			log:       "[taskcluster:error] Artifact public/a is not published: cannot publish a: no such file or directory",
		},
		"a directory that is missing": {
			artifacts: []payload.Artifact{directory("out", "public/out")},
			so:        task.Failed,
			kept:      map[string]string{"public/out": "error file-missing-on-worker"},
		},
		"optional ones that are missing": {
			artifacts: []payload.Artifact{optional(file("a", "public/a")), optional(directory("out", "public/out"))},
			kept:      map[string]string{},
			log:       "Optional artifact public/a is not there",
		},
		"files below what is a file": {
			files:     map[string]string{"a": "A"},
			artifacts: []payload.Artifact{optional(file("a/b", "public/b")), file("a/c", "public/c")},
			so:        task.Failed,
			kept:      map[string]string{"public/c": "error file-missing-on-worker"},
			log:       "Optional artifact public/b is not there",
		},
		"optional ones of one name that are missing": {
			files: map[string]string{"out/a": "A", "public": "P"},
			artifacts: []payload.Artifact{
				optional(glob("out/*.log", 5)), optional(glob("out/*.xml", 5)),
				optional(directory("none", "public")), optional(directory("no", "public")), file("public", "public"),
			},
			kept: map[string]string{"public": "P"},
			log:  "Optional artifact out is not there: cannot publish out/*.xml",
		},
		"several of one name that are missing": {
			artifacts: []payload.Artifact{directory("none", "public"), directory("no", "public"), glob("*.log", 1)},
			reserved:  "*.log",
			so:        task.Failed,
			kept:      map[string]string{"public": "error file-missing-on-worker"},
			log:       "Not published, 3:",
		},
		"a directory that should be a file": {
			files:     map[string]string{"a/b": ""},
			artifacts: []payload.Artifact{file("a", "public/a")},
			so:        task.Failed,
			kept:      map[string]string{"public/a": "error invalid-resource-on-worker"},
		},
		"a file that should be a directory, and is optional": {
			files:     map[string]string{"a": ""},
			artifacts: []payload.Artifact{optional(directory("a", "public/a"))},
			kept:      map[string]string{"public/a": "error invalid-resource-on-worker"},
			log:       "[taskcluster:warn",
		},
		"links": {
			files: map[string]string{"src/file": "F", "out/own": "O"},
			links: map[string]string{"out/file": "../src/file", "out/folder": "../src", "out/away": "/etc/hostname", "out/gone": "nowhere"},
			artifacts: []payload.Artifact{
				directory("out", "public/out"),
			},
			so: task.Failed,
			kept: map[string]string{
				"public/out/file": "F", "public/out/own": "O",
				"public/out/away": "error invalid-resource-on-worker", "public/out/gone": "error file-missing-on-worker",
			},
			log: "Left out out/folder from artifact directory out: it is a symbolic link to a directory",
		},
		"a name that belongs to a feature": {
			files:     map[string]string{"logs/live.log": "fake", "logs/mine.log": "L"},
			artifacts: []payload.Artifact{directory("logs", "public/logs"), file("logs/mine.log", "public/logs/live.log")},
			reserved:  "public/logs/live.log",
			kept:      map[string]string{"public/logs/mine.log": "L"},
			log:       "Left out artifact public/logs/live.log",
		},
		"one file asked for twice": {
			files:     map[string]string{"out/a": "A"},
			artifacts: []payload.Artifact{directory("out", "public"), file("out/./a", "public/a"), directory("./out", "public")},
			kept:      map[string]string{"public/a": "A"},
		},
		"two files with one name": {
			files:     map[string]string{"out/a": "A", "more/a": "M", "z": "Z"},
			artifacts: []payload.Artifact{directory("out", "public"), directory("more", "public"), file("z", "public/z")},
			so:        task.MalformedPayload,
			kept:      map[string]string{"public/a": "A", "public/z": "Z"},
			log:       "would be both out/a and more/a",
		},
		"two files with one name that no artifact can have": {
			files:     map[string]string{"out/\x1b": "1", "more/\x1b": "2"},
			artifacts: []payload.Artifact{directory("out", "public"), directory("more", "public")},
			so:        task.MalformedPayload,
			kept:      map[string]string{},
			log:       `artifact "public/\x1b" would be both "out/\x1b" and "more/\x1b"`,
		},
		"names that no artifact can have": {
			files:     map[string]string{"out/ü": "U", "out/ok": "O"},
			artifacts: []payload.Artifact{directory("out", "public")},
			so:        task.Failed,
			kept:      map[string]string{"public/ok": "O"},
			log:       "printable ASCII",
		},
		"more files than allowed": {
			files:     map[string]string{"out/1": "1", "out/2": "2", "out/3": "3"},
			config:    Config{MaxFiles: 2},
			artifacts: []payload.Artifact{directory("out", "public")},
			so:        task.Failed,
			kept:      map[string]string{"public/1": "1", "public/2": "2"},
			log:       "more than 2 artifacts",
		},
		"entries behind more files than allowed": {
			files:     map[string]string{"out/1": "1", "out/2": "2", "out/3": "3", "more/a": "A"},
			config:    Config{MaxFiles: 2},
			artifacts: []payload.Artifact{directory("out", "public"), directory("more", "more")},
			so:        task.Failed,
			kept:      map[string]string{"public/1": "1", "public/2": "2"},
			log:       "] more           the task has too many artifacts; nothing from here on was looked at",
		},
		"more bytes than allowed": {
			files:     map[string]string{"out/1": "123", "out/2": "456", "out/3": "7"},
			config:    Config{MaxBytes: 4},
			artifacts: []payload.Artifact{directory("out", "public")},
			so:        task.Failed,
			kept:      map[string]string{"public/1": "123", "public/2": "error too-large-file-on-worker", "public/3": "7"},
		},
		"a glob": {
			files:     map[string]string{"out/a.log": "A", "out/b.txt": "B", "out/sub/c.log": "C", "d.log": "D"},
			artifacts: []payload.Artifact{glob("out/*.log", 1)},
			kept:      map[string]string{"out/a.log": "A"},
		},
		"globs through any number of directories": {
			files:     map[string]string{"out/a.log": "A", "out/b.txt": "B", "out/sub/deep/c.log": "C", "out/sub/deep/.d.log": "D"},
			artifacts: []payload.Artifact{named(glob("out/**/*.{log,xml}", 10), "public/logs"), glob("**/b.*", 1)},
			kept: map[string]string{
				"public/logs/a.log": "A", "public/logs/sub/deep/c.log": "C", "public/logs/sub/deep/.d.log": "D", "out/b.txt": "B",
			},
		},
		"more matches than allowed": {
			files:     map[string]string{"out/1": "1", "out/2": "2", "out/3": "3", "out/4": "4", "z": "Z"},
			artifacts: []payload.Artifact{optional(glob("out/*", 2)), file("z", "z")},
			so:        task.Failed,
			kept:      map[string]string{"out/1": "1", "out/2": "2", "z": "Z"},
			log:       "4 files match out/*, and its maxFiles is 2; raise it",
		},
		"far more matches than allowed": {
			files:     many("out", counted+100),
			artifacts: []payload.Artifact{glob("out/*", 1)},
			so:        task.Failed,
			kept:      map[string]string{"out/0000": "x"},
			log:       "1001 files and maybe more match out/*, and its maxFiles is 1; write a narrower pattern",
		},
		"a glob without a match": {
			files:     map[string]string{"out/a.txt": "A"},
			artifacts: []payload.Artifact{named(glob("out/*.log", 5), "public/logs"), optional(glob("out/*.xml", 5)), glob("*.zip", 5)},
			so:        task.Failed,
			kept:      map[string]string{"public/logs": "error file-missing-on-worker", "*.zip": "error file-missing-on-worker"},
			log:       "Artifact public/logs is not published: cannot publish out/*.log: no file matches it",
		},
		"a glob below a directory that is missing, and one below a file": {
			files:     map[string]string{"a": "A"},
			artifacts: []payload.Artifact{glob("out/*", 5), glob("a/**", 5)},
			so:        task.Failed,
			kept:      map[string]string{"out": "error file-missing-on-worker", "a": "error invalid-resource-on-worker"},
		},
		"a glob does not lead out": {
			files:     map[string]string{"out/a": "A"},
			links:     map[string]string{"out/away": "/etc", "out/file": "/etc/hostname", "out/own": "a"},
			artifacts: []payload.Artifact{glob("out/**", 5)},
			so:        task.Failed,
			kept:      map[string]string{"out/a": "A", "out/own": "A", "out/file": "error invalid-resource-on-worker", "out/away": "error invalid-resource-on-worker"},
		},
		"a file is what it says before a glob, and that before a directory": {
			files: map[string]string{"out/a": "A", "out/b": "B", "out/c": "C"},
			artifacts: []payload.Artifact{
				compressed(directory("out", "out")), glob("out/[ab]", 2), compressed(file("out/a", "out/a")),
			},
			kept: map[string]string{"out/a": "gzip", "out/b": "B", "out/c": "gzip"},
		},
		"a glob that would match in a link only": {
			files:     map[string]string{"src/a": "A", "out/b": "B"},
			links:     map[string]string{"out/folder": "../src"},
			artifacts: []payload.Artifact{glob("out/*/*", 5)},
			so:        task.Failed,
			kept:      map[string]string{"out": "error file-missing-on-worker"},
			log:       "Left out out/folder from artifact glob out/*/*",
		},
		"a link in several entries": {
			files:     map[string]string{"src/a": "A", "out/b": "B"},
			links:     map[string]string{"out/folder": "../src"},
			artifacts: []payload.Artifact{glob("out/**", 5), directory("./out", "again"), directory(".", "all")},
			kept:      map[string]string{"out/b": "B", "again/b": "B", "all/out/b": "B", "all/src/a": "A"},
			log:       "Not published, 1:",
		},
		"a path outside": {
			artifacts: []payload.Artifact{file("/etc/hostname", "public/hostname")},
			so:        task.Failed,
			kept:      map[string]string{"public/hostname": "error invalid-resource-on-worker"},
			log:       "outside the task directory",
		},
	}
	for title, test := range tests {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, queuetest.FakeOptions{})
			for path, content := range test.files {
				s.write(t, path, content)
			}
			for path, target := range test.links {
				if err := os.Symlink(target, filepath.Join(s.dir, path)); err != nil {
					t.Skipf("symbolic links cannot be made here: %v", err)
				}
			}
			s.run.Reserved = func(name string) bool { return name == test.reserved }
			err := s.finish(t, test.config, test.artifacts...)
			if so := task.ResolutionOf(err); so != test.so {
				t.Errorf("resolved %v: %v", so, err)
			}
			if diff := cmp.Diff(test.kept, s.kept(t)); diff != "" {
				t.Error(diff)
			}
			if log := tasktest.Logged(t, s.run); !strings.Contains(log, test.log) {
				t.Errorf("the log lacks %q:\n%s", test.log, log)
			}
		})
	}
}

// many are n equal files in a directory.
func many(dir string, n int) map[string]string {
	files := make(map[string]string, n)
	for i := range n {
		files[fmt.Sprintf("%s/%04d", dir, i)] = "x"
	}
	return files
}

func TestLogAndSummary(t *testing.T) {
	t.Parallel()
	s := newStage(t, queuetest.FakeOptions{})
	s.write(t, "build.log", strings.Repeat("text\n", 100))
	for i := range maxRows {
		s.write(t, fmt.Sprintf("out/%03d.zip", i), "z")
	}
	expires := time.Time(s.run.Definition.Expires).Add(-time.Minute)
	a := payload.Artifact{Type: payload.File, Path: "build.log", Name: "public/build", Expires: expires}
	if err := s.finish(t, Config{}, a, payload.Artifact{Type: payload.Directory, Path: "out", Name: "public/out"}); err != nil {
		t.Fatal(err)
	}
	log := tasktest.Logged(t, s.run)
	for _, want := range []string{
		`Uploading artifact public/build from file build.log with content encoding "gzip", mime type "text/plain" and expiry ` + stamp(expires),
		`Uploading artifact public/out/000.zip from file out/000.zip with content encoding "identity", mime type "application/zip" and expiry ` + stamp(time.Time(s.run.Definition.Expires)),
		"Published 101 artifacts, 600 bytes, in ",
		"artifact            bytes  stored  sha256        seconds  attempts",
		"public/build        500    ",
		"... and 1 more",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(log[max(0, len(log)-3000):])
	}
	records := s.run.Artifacts.Records()
	want := artifact.Record{Name: "public/build", StorageType: "s3", Bytes: 500, Attempts: 1}
	if diff := cmp.Diff(want, records[0], cmpopts.IgnoreFields(artifact.Record{}, "Elapsed", "Stored", "SHA256")); diff != "" || len(records) != 101 {
		t.Errorf("%d records: %s", len(records), diff)
	}
}

func TestNothingToDo(t *testing.T) {
	t.Parallel()
	s := newStage(t, queuetest.FakeOptions{})
	hooks, err := New(Config{}).Attach(s.run)
	if err != nil || hooks.Prepare != nil || hooks.Finish != nil {
		t.Errorf("a task without artifacts has the feature: %v", err)
	}
	s.run.Payload.Artifacts = []payload.Artifact{file("a", "public/a")}
	for _, prepared := range []bool{false, true} {
		hooks, err = New(Config{}).Attach(s.run)
		if err != nil {
			t.Fatal(err)
		}
		so := task.InternalError // an earlier feature failed
		if prepared {
			so = task.Canceled
			if err := hooks.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := hooks.Finish(t.Context(), so); err != nil {
			t.Error(err)
		}
	}
	if got := s.kept(t); len(got) != 0 || tasktest.Logged(t, s.run) != "" {
		t.Errorf("kept %v, logged %s", got, tasktest.Logged(t, s.run))
	}
}

func TestObjectStorage(t *testing.T) {
	t.Parallel()
	s := newStage(t, queuetest.FakeOptions{})
	s.run.Artifacts.Object = true
	large := strings.Repeat("content ", 40_000)
	s.write(t, "out/small", "S")
	s.write(t, "out/large + 1%", large)
	if err := s.finish(t, Config{}, directory("out", "public")); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"public/small": "S", "public/large + 1%": large}
	if diff := cmp.Diff(want, s.kept(t)); diff != "" {
		t.Error(diff)
	}
	run, _ := s.fake.Run(s.run.TaskID, s.run.RunID)
	for _, a := range run.Artifacts {
		if !a.Present {
			t.Errorf("%s was not finished", a.Name)
		}
	}
}

// The limit is on what a file claims to hold, before any of it is read.
func TestHugeSparseFile(t *testing.T) {
	t.Parallel()
	s := newStage(t, queuetest.FakeOptions{})
	s.write(t, "huge", "")
	if err := os.Truncate(filepath.Join(s.dir, "huge"), 1<<40); err != nil {
		t.Skipf("this file system has no such files: %v", err)
	}
	s.write(t, "small", "S")
	start := time.Now()
	err := s.finish(t, Config{}, file("huge", "public/huge"), file("small", "public/small"))
	if task.ResolutionOf(err) != task.Failed || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
	want := map[string]string{"public/huge": "error too-large-file-on-worker", "public/small": "S"}
	if diff := cmp.Diff(want, s.kept(t)); diff != "" {
		t.Error(diff)
	}
}
