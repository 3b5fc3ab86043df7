package platform

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/filelock"
	"github.com/taskcluster/generic-worker/internal/trash"
)

// operator is a log that tests can read while it is written.
type operator struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *operator) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *operator) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func startEngine(t *testing.T, dir string) (*Insecure, *operator) {
	t.Helper()
	log := &operator{}
	engine := &Insecure{TasksDir: dir, CleanUp: true, Log: slog.New(slog.NewTextHandler(log, nil))}
	if err := engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeEngine(t, engine) })
	return engine, log
}

func closeEngine(t *testing.T, engine *Insecure) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := engine.Close(ctx); err != nil {
		t.Error(err)
	}
}

func openSession(t *testing.T, engine *Insecure, name string) *Session {
	t.Helper()
	session, err := engine.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestSessionName(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		task string
		run  int
		want string
	}{
		{"fN1SbArXTPSVFNUvaOlinQ", 0, "task_fN1SbArXTPSVF_0"},
		{"fN1SbArXTPSVFNUvaOlinQ", 49, "task_fN1SbArXTPSV_49"},
		{"-_1SbArXTPSVFNUvaOlinQ", 3, "task_-_1SbArXTPSVF_3"},
		{"short", 1, "task_short_1"},
	} {
		if got := SessionName(row.task, row.run); got != row.want || len(got) > 20 || !sessionName().MatchString(got) {
			t.Errorf("SessionName(%q, %d) = %q, want %q", row.task, row.run, got, row.want)
		}
	}
}

func TestOpenMakesAnEmptyDirectoryForItsUserOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "tasks")
	engine, _ := startEngine(t, dir)
	write(t, filepath.Join(dir, "task_one_0", "leftover"), "x")

	session := openSession(t, engine, "task_one_0")
	if session.Dir != filepath.Join(dir, "task_one_0") || !filepath.IsAbs(session.Dir) {
		t.Errorf("Dir is %s", session.Dir)
	}
	if left := list(t, session.Dir); len(left) > 0 {
		t.Errorf("the directory holds %q of an earlier task", left)
	}
	info, err := session.Root.Stat(".")
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}
	if _, err := engine.Open(t.Context(), "task_one_0"); err == nil || !strings.Contains(err.Error(), "a running task has it") {
		t.Errorf("a second task got the directory of a running one: %v", err)
	}
	if err := errors.Join(session.Close(t.Context()), session.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	closeEngine(t, engine)
	if diff := cmp.Diff([]string{trash.Name, filelock.Name}, list(t, dir)); diff != "" {
		t.Error(diff)
	}
	if left := list(t, filepath.Join(dir, trash.Name)); len(left) > 0 {
		t.Errorf("the trash still holds %q", left)
	}
}

func TestOpenRefusesNamesThatAreNotPlain(t *testing.T) {
	t.Parallel()
	engine, _ := startEngine(t, t.TempDir())
	for _, name := range []string{"", "task_", "one", "task_../../etc", "task_a/b", `task_a\b`, "task_a\x00", "task_ä", ".trash", "task_" + strings.Repeat("x", 101)} {
		if _, err := engine.Open(t.Context(), name); err == nil {
			t.Errorf("Open accepted %q", name)
		}
	}
}

func TestOpenNeedsAStartedEngine(t *testing.T) {
	t.Parallel()
	engine := &Insecure{TasksDir: t.TempDir()}
	if _, err := engine.Open(t.Context(), "task_a_0"); err == nil {
		t.Error("Open made a directory before Start")
	}
	closeEngine(t, engine)
}

func TestKeptDirectoriesStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "task_old_0", "file"), "old")
	engine := &Insecure{TasksDir: dir}
	if err := engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	session := openSession(t, engine, "task_new_0")
	write(t, filepath.Join(session.Dir, "file"), "new")
	if err := session.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeEngine(t, engine)
	for _, name := range []string{"task_old_0", "task_new_0"} {
		if _, err := os.Stat(filepath.Join(dir, name, "file")); err != nil {
			t.Error(err)
		}
	}
}

func TestStartTakesOnlyDirectoriesOfTasks(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "task_dead_0", "sub", "file"), "x")
	write(t, filepath.Join(dir, "cache", "file"), "x")
	write(t, filepath.Join(dir, "task_file"), "x")
	write(t, filepath.Join(dir, trash.Name, "task_older_0.abc", "file"), "x")
	write(t, filepath.Join(outside, "file"), "x")
	if err := os.Symlink(outside, filepath.Join(dir, "task_link")); err != nil {
		t.Fatal(err)
	}
	engine, _ := startEngine(t, dir)
	closeEngine(t, engine)
	want := []string{trash.Name, "cache", filelock.Name, "task_file", "task_link"}
	if diff := cmp.Diff(want, list(t, dir)); diff != "" {
		t.Error(diff)
	}
	if left := list(t, filepath.Join(dir, trash.Name)); len(left) > 0 {
		t.Errorf("the trash still holds %q", left)
	}
	if _, err := os.Stat(filepath.Join(outside, "file")); err != nil {
		t.Error(err)
	}
}

func TestTwoEnginesCannotShareTasksDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startEngine(t, dir)
	err := (&Insecure{TasksDir: dir}).Start(t.Context())
	locked, ok := errors.AsType[*filelock.HeldError](err)
	if !ok || locked.PID != os.Getpid() || !strings.HasSuffix(err.Error(), "or give this one another tasksDir") {
		t.Errorf("the second engine got %v", err)
	}
}

func TestOpenMakesTasksDirAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tasks")
	engine, _ := startEngine(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	session := openSession(t, engine, "task_a_0")
	if _, err := os.Stat(session.Dir); err != nil {
		t.Error(err)
	}
	if err := session.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCloseGivesUpWithItsContextAndTheNextStartGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	engine, _ := startEngine(t, dir)
	for range 20 {
		session := openSession(t, engine, "task_a_0")
		for _, name := range []string{"a", "b", "c", "d"} {
			write(t, filepath.Join(session.Dir, name, name, name), "x")
		}
		if err := session.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	late := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(late)
	if err := engine.Close(ctx); !errors.Is(err, late) {
		t.Errorf("Close returned %v", err)
	}
	engine, _ = startEngine(t, dir)
	closeEngine(t, engine)
	if left := list(t, filepath.Join(dir, trash.Name)); len(left) > 0 {
		t.Errorf("the trash still holds %q", left)
	}
}

func TestEnvironmentKeepsTheWorkersSecrets(t *testing.T) {
	t.Parallel()
	worker := []string{
		"HOME=/root", "PATH=/bin", "EMPTY=", "=C:=C:\\dir", "TASKCLUSTER_ACCESS_TOKEN=t", "TASKCLUSTER_CLIENT_ID=c",
		"GENERIC_WORKER_ACCESSTOKEN_FILE=/x", "NOTIFY_SOCKET=/run/x", "LISTEN_FDS=1", "LISTEN_PID=2", "WATCHDOG_USEC=1",
		"CREDENTIALS_DIRECTORY=/run", "INVOCATION_ID=i", "JOURNAL_STREAM=8:1", "COPY=x-s3cr3t-token-y", "LISTENER=kept", "SHORT=abc", "PWD=/srv",
	}
	got := merge(inherited(worker, []string{"s3cr3t-token", "abc", ""}), map[string]string{"PATH": "/task", "A": "1=2", "TASKCLUSTER_ROOT_URL": "http://x"})
	want := []string{"=C:=C:\\dir", "A=1=2", "EMPTY=", "HOME=/root", "LISTENER=kept", "PATH=/task", "SHORT=abc", "TASKCLUSTER_ROOT_URL=http://x"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if worker[4] != "TASKCLUSTER_ACCESS_TOKEN=t" {
		t.Error("the worker's own environment was changed")
	}
}

func TestFreeBytes(t *testing.T) {
	t.Parallel()
	if free, err := FreeBytes(t.TempDir()); err != nil || free <= 0 {
		t.Errorf("FreeBytes = %d, %v", free, err)
	}
	if _, err := FreeBytes(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("FreeBytes of nothing = %v", err)
	}
}

func TestSessionsOfManyTasksAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	engine, _ := startEngine(t, dir)
	var wait sync.WaitGroup
	for _, name := range strings.Fields("task_a_0 task_b_0 task_c_0 task_d_0 task_e_0 task_f_0 task_g_0 task_h_0") {
		wait.Go(func() {
			for range 20 {
				session, err := engine.Open(context.Background(), name)
				if err != nil {
					t.Error(err)
					return
				}
				err = session.Root.WriteFile("own", []byte(name), 0o600)
				got := []string{}
				entries, listErr := os.ReadDir(session.Dir)
				for _, entry := range entries {
					got = append(got, entry.Name())
				}
				if err = errors.Join(err, listErr, session.Close(context.Background())); err != nil || !slices.Equal(got, []string{"own"}) {
					t.Errorf("%s held %q: %v", name, got, err)
				}
			}
		})
	}
	wait.Wait()
}
