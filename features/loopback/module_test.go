package loopback

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/platform/device"
)

// TestModules: what modprobe is asked for and which paths follow from the number.
func TestModules(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind kind
		want device.Module
	}{
		{video(Config{Number: 3}), device.Module{
			Name: "v4l2loopback", Options: []string{"video_nr=3"}, Install: "v4l2loopback-dkms", Setting: "loopbackVideoDeviceNumber",
			Devices: []string{"dev/video3"}, Proof: "sys/devices/virtual/video4linux/video3", Group: "video",
		}},
		{audio(Config{Number: 16}), device.Module{
			Name: "snd-aloop", Options: []string{"index=16"}, Setting: "loopbackAudioDeviceNumber",
			Install: "the modules of the kernel that are not in its smallest package (linux-modules-extra on Ubuntu)",
			Devices: []string{"dev/snd/controlC16", "dev/snd/pcmC16D0c", "dev/snd/pcmC16D0p", "dev/snd/pcmC16D1c", "dev/snd/pcmC16D1p"},
			Proof:   "sys/devices/*/snd_aloop*/sound/card16", Group: "audio",
		}},
	} {
		if diff := cmp.Diff(test.want, test.kind.module); diff != "" {
			t.Errorf("%s: %s", test.kind.name, diff)
		}
	}
}
