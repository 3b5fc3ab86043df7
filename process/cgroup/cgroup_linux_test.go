package cgroup

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDirectories(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, own, mounts string
		want              Hierarchies
	}{
		{"none", "", "", Hierarchies{}},
		{
			"version 2",
			"0::/system.slice/worker.service\n",
			"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
			Hierarchies{"": "/sys/fs/cgroup/system.slice/worker.service"},
		},
		{
			"both",
			"5:cpu,cpuacct:/\n4:pids:/docker/abc\n1:name=systemd:/\n0::/\n",
			"33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
				"34 31 0:31 /docker/abc /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n" +
				"35 31 0:32 / /sys/fs/cgroup/with\\040space rw - cgroup2 none rw\n" +
				"36 31 0:33 / /proc rw - proc proc rw\n",
			Hierarchies{
				"": "/sys/fs/cgroup/with space", "pids": "/sys/fs/cgroup/pids",
				"cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
			},
		},
		{
			"outside the mount",
			"0::/other\n",
			"30 23 0:26 /mine /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
			Hierarchies{},
		},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, directories(test.own, test.mounts)); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// TestRemove removes a group whose process is still about to end.
func TestRemove(t *testing.T) {
	tried := false
	for _, controller := range controllers() {
		base := Find().V1(controller)
		if !base.Usable() {
			continue
		}
		tried = true
		g := base.Make("gw-remove-" + strconv.Itoa(os.Getpid()))
		cmd := exec.Command("sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		runtime.LockOSThread()
		err := g.Start(cmd.SysProcAttr, cmd.Start)
		runtime.UnlockOSThread()
		if err != nil {
			t.Fatalf("%s: %v", g.path, err)
		}
		if !g.busy() {
			t.Errorf("%s: removed with a process in it", g.path)
		}
		_ = cmd.Process.Kill()
		g.Remove()
		if _, err := os.Stat(g.path); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", g.path, err)
		}
		_ = cmd.Wait()
	}
	if !tried {
		t.Skip("no control groups can be made here")
	}
}

func FuzzDirectories(f *testing.F) {
	f.Add("0::/a\n3:cpu,cpuacct:/b\n", "30 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n")
	f.Add("0::/..\n", "30 23 0:26 /.. / - cgroup2 x y\n")
	f.Fuzz(func(t *testing.T, own, mounts string) {
		for name, dir := range directories(own, mounts) {
			if dir == "" {
				t.Errorf("controller %q has no directory", name)
			}
		}
	})
}
