package loopback

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/internal/task/tasktest"
)

// machine is a root of a file system with a modprobe of its own, whose group
// is one that this process is in.
func machine(t *testing.T, k kind, modprobe string) (*feature, string) {
	t.Helper()
	root := t.TempDir()
	m := &k.module
	m.Root, m.Modprobe = root, filepath.Join(root, "modprobe")
	group, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Skipf("the group of this process has no name: %v", err)
	}
	m.Group = group.Name
	script := "#!/bin/sh\ncd " + root + "\necho \"$@\" >>asked\n" + modprobe + "\n"
	if err := os.WriteFile(m.Modprobe, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return newFeature(k), root
}

// What a modprobe does that makes the device 7, and the sound card 9.
const (
	makesVideo = "mkdir -p dev sys/devices/virtual/video4linux/video7; touch dev/video7"
	makesAudio = "mkdir -p dev/snd sys/devices/platform/snd_aloop.0/sound/card9; cd dev/snd; touch controlC9 pcmC9D0c pcmC9D0p pcmC9D1c pcmC9D1p"
)

var (
	seventh = Config{Number: 7}
	ninth   = Config{Number: 9}
)

func newRun(t *testing.T) (*task.Run, func() string) {
	t.Helper()
	run := tasktest.New(t)
	run.Definition.ProvisionerID, run.Definition.WorkerType = "proj", "linux"
	run.Payload.Features.LoopbackVideo, run.Payload.Features.LoopbackAudio = true, true
	return run, func() string { return tasktest.Logged(t, run) }
}

func TestVideoDevice(t *testing.T) {
	t.Parallel()
	f, root := machine(t, video(seventh), makesVideo)
	for range 2 { // the second finds it there
		run, log := newRun(t)
		hooks, err := f.Attach(run)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"generic-worker:loopback-video:proj/linux", "generic-worker:loopback-video"}
		if diff := cmp.Diff(want, hooks.AnyScope); diff != "" {
			t.Error(diff)
		}
		if err := hooks.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := run.Environ()["TASKCLUSTER_VIDEO_DEVICE"]; got != "/dev/video7" || !strings.Contains(log(), "/dev/video7") {
			t.Errorf("the task is told %q:\n%s", got, log())
		}
		if info, err := os.Stat(filepath.Join(root, "dev/video7")); err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("the device has mode %v: %v", info.Mode(), err)
		}
		if err := hooks.Finish(t.Context(), task.Completed); err != nil {
			t.Error(err)
		}
	}
	asked, err := os.ReadFile(filepath.Join(root, "asked"))
	if err != nil || string(asked) != "v4l2loopback video_nr=7\n" {
		t.Errorf("modprobe was asked %q: %v", asked, err)
	}
}

// TestModprobeSeesNoSecret: what is in the worker's environment is not for it.
func TestModprobeSeesNoSecret(t *testing.T) {
	t.Setenv("GENERIC_WORKER_ACCESS_TOKEN", "not-for-modprobe")
	f, root := machine(t, video(seventh), "env >seen; "+makesVideo)
	run, _ := newRun(t)
	hooks, err := f.Attach(run)
	if err != nil {
		t.Fatal(err)
	}
	if err := hooks.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if seen, err := os.ReadFile(filepath.Join(root, "seen")); err != nil || strings.Contains(string(seen), "not-for-modprobe") {
		t.Errorf("modprobe has the environment %s: %v", seen, err)
	}
}

func TestAudioDevices(t *testing.T) {
	t.Parallel()
	f, root := machine(t, audio(ninth), makesAudio)
	for range 2 { // the second finds them there
		run, log := newRun(t)
		hooks, err := f.Attach(run)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"generic-worker:loopback-audio:proj/linux", "generic-worker:loopback-audio"}
		if diff := cmp.Diff(want, hooks.AnyScope); diff != "" {
			t.Error(diff)
		}
		if err := hooks.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log(), "card 9: hw:9,0 and hw:9,1") {
			t.Errorf("the log is %s", log())
		}
		devices, err := filepath.Glob(filepath.Join(root, "dev/snd/*"))
		if err != nil || len(devices) != 5 {
			t.Errorf("there are %v: %v", devices, err)
		}
		for _, device := range devices {
			if info, err := os.Stat(device); err != nil || info.Mode().Perm() != 0o660 {
				t.Errorf("%s has mode %v: %v", device, info.Mode(), err)
			}
		}
		if err := hooks.Finish(t.Context(), task.Completed); err != nil {
			t.Error(err)
		}
	}
	if asked, err := os.ReadFile(filepath.Join(root, "asked")); err != nil || string(asked) != "snd-aloop index=9\n" {
		t.Errorf("modprobe was asked %q: %v", asked, err)
	}
}

// TestNotAsked: the one feature does not take part in what asks for the other.
func TestNotAsked(t *testing.T) {
	t.Parallel()
	for _, k := range []kind{video(seventh), audio(ninth)} {
		f := newFeature(k)
		run, _ := newRun(t)
		run.Payload.Features.LoopbackVideo = k.what == "audio"
		run.Payload.Features.LoopbackAudio = k.what == "video"
		if hooks, err := f.Attach(run); err != nil || hooks.Prepare != nil || hooks.AnyScope != nil {
			t.Errorf("%s: got %v", f.Name(), err)
		}
	}
}

// TestMachineLacks: it is not the author's fault, and the sentence says what
// to do about it.
func TestMachineLacks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind     kind
		modprobe string
		set      func(t *testing.T, f *feature, root string)
		want     string
	}{
		"no module": {
			kind:     video(seventh),
			modprobe: "echo 'modprobe: FATAL: Module v4l2loopback not found' >&2; exit 1",
			want:     "exit status 1 (modprobe: FATAL: Module v4l2loopback not found); install v4l2loopback-dkms for this kernel and run the worker as root",
		},
		"no module for sound": {
			kind:     audio(ninth),
			modprobe: "echo 'Module snd-aloop not found' >&2; exit 1",
			want:     "(Module snd-aloop not found); install the modules of the kernel",
		},
		"no modprobe": {
			kind: video(seventh),
			set: func(t *testing.T, _ *feature, root string) {
				if err := os.Remove(filepath.Join(root, "modprobe")); err != nil {
					t.Fatal(err)
				}
			},
			want: "there is no modprobe; install kmod and v4l2loopback-dkms",
		},
		"loaded with another number": {
			kind:     video(seventh),
			modprobe: "mkdir -p sys/devices/virtual/video4linux/video0",
			want:     "it was loaded before with other options; unload it with modprobe -r v4l2loopback, or set loopbackVideoDeviceNumber",
		},
		"a camera has the name": {
			kind: video(seventh),
			set: func(t *testing.T, _ *feature, root string) {
				if err := os.MkdirAll(filepath.Join(root, "dev/video7"), 0o700); err != nil {
					t.Fatal(err)
				}
			},
			want: "is a device of this machine and none of the kernel module v4l2loopback; set loopbackVideoDeviceNumber to a number that is free",
		},
		"no device": {
			kind:     video(seventh),
			modprobe: "mkdir -p sys/devices/virtual/video4linux/video7",
			want:     "cannot let tasks use ",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, root := machine(t, test.kind, test.modprobe)
			if test.set != nil {
				test.set(t, f, root)
			}
			run, _ := newRun(t)
			for range 2 { // the turn was given back
				hooks, err := f.Attach(run)
				if err != nil {
					t.Fatal(err)
				}
				err = hooks.Prepare(t.Context())
				if task.ResolutionOf(err) != task.ResourceUnavailable || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %s", err, test.want)
				}
				if err := hooks.Finish(t.Context(), task.ResourceUnavailable); err != nil {
					t.Error(err)
				}
			}
			if len(run.Environ()) > 0 {
				t.Errorf("the task is told %v", run.Environ())
			}
		})
	}
}

// TestOneAtATime: a task waits for the device as long as another has it, or
// until it is aborted.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	f, _ := machine(t, video(seventh), makesVideo)
	first, _ := newRun(t)
	holds, err := f.Attach(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := holds.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, _ := newRun(t)
	waits, err := f.Attach(second)
	if err != nil {
		t.Fatal(err)
	}
	reason := task.Errorf(task.Canceled, "canceled")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	if err := waits.Prepare(ctx); !errors.Is(err, reason) {
		t.Errorf("an aborted task got %v", err)
	}
	got := make(chan error, 1)
	go func() { got <- waits.Prepare(t.Context()) }()
	lines, err := second.Log.Follow(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	for scanner, told := bufio.NewScanner(lines), 0; told < 2 && scanner.Scan(); told++ {
		if !strings.Contains(scanner.Text(), "Waiting for the video loopback device: another task of this worker has it") {
			t.Errorf("the log says %s", scanner.Text())
		}
	}
	select {
	case err := <-got:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	if err := holds.Finish(t.Context(), task.Completed); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-got:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the device was not passed on")
	}
}

// TestStuckModprobe ends with the task.
func TestStuckModprobe(t *testing.T) {
	t.Parallel()
	f, _ := machine(t, video(seventh), "exec sleep 100")
	run, _ := newRun(t)
	hooks, err := f.Attach(run)
	if err != nil {
		t.Fatal(err)
	}
	reason := task.Errorf(task.Canceled, "canceled")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(reason) })
	begun := time.Now()
	if err := hooks.Prepare(ctx); !errors.Is(err, reason) || time.Since(begun) > 25*time.Second {
		t.Errorf("got %v after %v", err, time.Since(begun))
	}
}
