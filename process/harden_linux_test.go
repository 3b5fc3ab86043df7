package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const nobody = 65534

// ordinary makes a worker of a user without rights, whose directory dir is.
func ordinary(t *testing.T, args ...string) (cmd *exec.Cmd, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "process-test") // t.TempDir is below a directory only the owner may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "worker")
	// Written by this process, the file could be open in one being started.
	if out, err := exec.Command("cp", self(), program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for i, arg := range args {
		args[i] = strings.ReplaceAll(arg, "DIR", dir)
	}
	cmd = exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = probeEnv()
	if os.Getuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd, dir
}

// TestS2ClosedToCommands has a command of the worker's own user look into the
// worker, which also shows what there is to see if nobody closes it.
func TestS2ClosedToCommands(t *testing.T) {
	t.Parallel()
	const closed = `secret in the environment: false
environ: permission denied
mem: permission denied
maps: permission denied
fd: permission denied
trace: operation not permitted
core: 0
`
	for hardened, want := range map[string]string{"HARDEN=1": closed, "HARDEN=0": "secret in the environment: true"} {
		t.Run(hardened, func(t *testing.T) {
			t.Parallel()
			cmd, _ := ordinary(t, "work", "A=B", "spy")
			cmd.Env = append(cmd.Env, hardened, "SECRET=canary")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			got := string(out)
			if hardened == "HARDEN=0" {
				got, _, _ = strings.Cut(got, "\n")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// spy prints how far one gets with the process that started this one.
func spy() {
	parent := fmt.Sprintf("/proc/%d/", os.Getppid())
	environ, err := os.ReadFile(parent + "environ")
	fmt.Println("secret in the environment:", strings.Contains(string(environ), "canary"))
	fmt.Println("environ:", reason(err))
	for _, name := range []string{"mem", "maps", "fd"} {
		f, err := os.Open(parent + name)
		if err == nil && name == "fd" {
			_, err = f.Readdirnames(-1)
		}
		fmt.Println(name+":", reason(err))
	}
	fmt.Println("trace:", reason(unix.PtraceSeize(os.Getppid())))
	var core unix.Rlimit
	_ = unix.Prlimit(os.Getppid(), unix.RLIMIT_CORE, nil, &core)
	fmt.Println("core:", core.Cur)
}

func reason(err error) error {
	if path, ok := err.(*os.PathError); ok {
		return path.Err
	}
	return err
}

// TestS2ClosedAndAtWork has a worker of an ordinary user that closed itself
// find, kill and reap all that its command started.
func TestS2ClosedAndAtWork(t *testing.T) {
	t.Parallel()
	for _, hideout := range hideouts() {
		t.Run(hideout, func(t *testing.T) {
			t.Parallel()
			cmd, dir := ordinary(t, "zombies", "M=DIR", "parent", "DIR", hideout, "exit")
			cmd.Env = append(cmd.Env, "HARDEN=1")
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasSuffix(string(out), "zombies: 0\n") {
				t.Errorf("got %q, %v", out, err)
			}
			if survivors(dir) {
				t.Error("a descendant survived")
			}
		})
	}
}

// TestS8NoCore: the memory of a command that crashes does not become a file,
// which could be published, unless the command itself wants it to.
func TestS8NoCore(t *testing.T) {
	t.Parallel()
	cmd, _ := ordinary(t, "work", "A=B", "core-limits")
	cmd.Env = append(cmd.Env, "HARDEN=1")
	out, err := cmd.CombinedOutput()
	if want := "core: 0, may be raised: true\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
}
