package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

// hunt has a task collect what it can see of the worker, and all command lines.
const hunt = `
	env
	cat /proc/self/environ /proc/$PPID/environ /proc/[0-9]*/cmdline | tr '\0' '\n'
	for name in environ mem maps; do head -c 1 /proc/$PPID/$name && echo "open: $name"; done
	for name in fd task; do ls /proc/$PPID/$name/ > /dev/null && echo "open: $name"; done
	:`

// TestS2TasksCannotReadTheWorker runs tasks of the worker's own user, an
// ordinary one, that look for the credentials it got through its environment.
func TestS2TasksCannotReadTheWorker(t *testing.T) {
	t.Parallel()
	const secret = "canary0123456789abcdefghijkl"
	opened := regexp.MustCompile(secret + "|open: (environ|mem|maps|fd)")
	for name, arrange := range map[string]func(t *testing.T, dir string) (args []string){
		"run": func(t *testing.T, dir string) []string {
			fake := queuetest.StartFake(t, queuetest.FakeOptions{})
			id := fake.AddTask(map[string]any{
				"command": [][]string{{"sh", "-c", "{ " + hunt + "; } > " + dir + "/seen 2>&1"}}, "maxRunTime": 60,
				"artifacts": []any{
					map[string]any{"type": "file", "path": "/proc/self/environ", "name": "public/environ", "optional": true},
					map[string]any{"type": "directory", "path": "/proc/self", "name": "public/self", "optional": true},
					map[string]any{"type": "glob", "path": "/proc/*/environ", "name": "public/all", "optional": true, "maxFiles": 10000},
				},
			})
			t.Cleanup(func() {
				run, _ := fake.Run(id, 0)
				for _, published := range run.Artifacts {
					if published.StorageType != "error" && !strings.HasPrefix(published.Name, "public/logs/") {
						t.Errorf("the worker publishes %s, %d bytes, from what shows itself", published.Name, published.Bytes)
					}
				}
			})
			pool, kind, _ := strings.Cut(queuetest.TaskQueueID, "/")
			write(t, dir+"/worker.yml", fmt.Sprintf("rootURL: %s\nclientId: worker\nprovisionerId: %s\nworkerType: %s\nworkerGroup: g\nworkerId: w\nnumberOfTasksToRun: 1\n", fake.URL, pool, kind))
			return []string{"run", "--config", dir + "/worker.yml"}
		},
		"task run": func(t *testing.T, dir string) []string {
			write(t, dir+"/task.yml", fmt.Sprintf("payload:\n  maxRunTime: 60\n  command:\n  - - sh\n    - -c\n    - |\n      { %s; } > %s/seen 2>&1\n", strings.ReplaceAll(hunt, "\n", "\n      "), dir))
			return []string{"task", "run", dir + "/task.yml"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := ownDir(t)
			worker := exec.CommandContext(t.Context(), dir+"/generic-worker", arrange(t, dir)...)
			worker.Dir = dir
			worker.Env = []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GORACE=atexit_sleep_ms=0",
				"GENERIC_WORKER_ACCESS_TOKEN=" + secret, "TASKCLUSTER_ACCESS_TOKEN=" + secret,
			}
			if os.Getuid() == 0 {
				worker.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
			out, err := worker.CombinedOutput()
			if err != nil {
				t.Fatalf("%v:\n%s", err, out)
			}
			text, err := os.ReadFile(dir + "/seen")
			seen := string(text)
			if err != nil || !strings.Contains(seen, "PWD=") || !strings.Contains(seen, dir+"/generic-worker") || !strings.Contains(seen, "open: task") {
				t.Fatalf("the task saw too little to tell anything: %v, %d bytes", err, len(seen))
			}
			for line := range strings.Lines(seen + string(out)) {
				if opened.MatchString(line) {
					t.Errorf("the worker is open: %s", line)
				}
			}
		})
	}
}

const nobody = 65534

// ownDir makes a directory of an ordinary user, with the program in it.
func ownDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "worker-test") // t.TempDir is below a directory only the owner may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Written by this process, the file could be open in one being started.
	if out, err := exec.Command("cp", self, filepath.Join(dir, "generic-worker")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
