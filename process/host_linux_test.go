package process

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestCleanStart starts a worker in the worst of conditions: descriptors left
// open, signals ignored and blocked, an odd umask, core files, no OOM kill.
func TestCleanStart(t *testing.T) {
	t.Parallel()
	want := `fds: 0 1 2
Umask: 0022
SigBlk: 0000000000000000
SigIgn: 0000000000000000
leads its session: true
group: true
terminal: no such device or address
core: 0
stdin: /dev/null
oom: 0
`
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	cmd := exec.Command("sh", "-c", `trap '' HUP QUIT USR2 TSTP; umask 077; ulimit -c unlimited
		echo -500 2>&- >/proc/self/oom_score_adj; exec "$0" "$@"`, self(), "work", "A=B", "facts")
	cmd.Env = append(probeEnv(), "PROCESS_PROBE=1")
	cmd.ExtraFiles = []*os.File{null, null, null}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := startBlocked(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err, &out)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// startBlocked starts cmd with two signals blocked.
func startBlocked(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, old unix.Sigset_t
	set.Val[0] = 1<<(unix.SIGUSR1-1) | 1<<(unix.SIGALRM-1)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &set, &old); err != nil {
		return err
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) }()
	return cmd.Start()
}

// TestNoZombies has a worker reap what it adopted.
func TestNoZombies(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"CGROUP=1", "NO_CGROUP=1"} {
		for _, hideout := range []string{"daemon", "disguised", "setsid", "spinner"} {
			t.Run(mode+"/"+hideout, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				cmd := exec.Command(self(), "zombies", "M="+dir, "parent", dir, hideout, "exit")
				cmd.Env = append(probeEnv(), mode)
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
}

// TestDiesWithWorker kills a worker, and nothing else.
func TestDiesWithWorker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ready := make(chan struct{})
	cmd := exec.Command(self(), "work", "PROCESS_TEST="+dir, "hold", dir)
	cmd.Env = probeEnv()
	cmd.Stdout = &await{text: "ready", ready: func() { close(ready) }}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-ready
	if !survivors(dir) {
		t.Fatal("the command holds no lock")
	}
	_ = cmd.Process.Kill()
	_, _ = cmd.Process.Wait()
	dead := make(chan error, 1)
	go func() {
		fd, err := unix.Open(dir+"/lock", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Flock(fd, unix.LOCK_EX)
			_ = unix.Close(fd)
		}
		dead <- err
	}()
	select {
	case err := <-dead:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the command outlives its worker")
	}
	if _, err := Sweep(t.Context(), "PROCESS_TEST="+dir); err != nil {
		t.Error(err)
	}
}

// TestSweep kills a worker, and has the next one find what it left.
func TestSweep(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"CGROUP=1", "NO_CGROUP=1"} {
		for _, hideout := range []string{"normal", "setsid", "daemon", "stubborn", "stopped", "spinner", "headless"} {
			t.Run(mode+"/"+hideout, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				marker := "PROCESS_TEST=" + dir
				ready := make(chan struct{})
				cmd := exec.Command(self(), "work", marker, "parent", dir, hideout, "stay")
				cmd.Env = append(probeEnv(), mode)
				cmd.Stdout = &await{text: "ready", ready: func() { close(ready) }}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				<-ready
				_ = cmd.Process.Kill()
				_, _ = cmd.Process.Wait()
				if !survivors(dir) {
					t.Fatal("nothing is left to sweep")
				}
				killed, err := Sweep(t.Context(), marker)
				if err != nil || len(killed) == 0 {
					t.Errorf("got %q, %v", killed, err)
				}
				if survivors(dir) {
					t.Error("a descendant survived")
				}
				if left := theHost().groups.Named(family(marker)); len(left) > 0 {
					t.Errorf("cgroups are left: %q", left)
				}
				if killed, err := Sweep(t.Context(), marker); err != nil || len(killed) > 0 {
					t.Errorf("second sweep: got %q, %v", killed, err)
				}
			})
		}
	}
}
