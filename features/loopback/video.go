package loopback

import (
	"fmt"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
	"github.com/taskcluster/generic-worker/platform/device"
)

// NewVideo returns the feature of video devices, /dev/videoN; the device is made
// for the first task that asks for it.
func NewVideo(config Config) features.Feature { return newFeature(video(config)) }

func video(config Config) kind {
	name := fmt.Sprint("video", config.Number)
	path := "/dev/" + name
	return kind{
		name: "loopbackVideo", what: "video",
		asked: func(wanted payload.Features) bool { return wanted.LoopbackVideo },
		tell: func(run *task.Run) {
			run.Setenv("TASKCLUSTER_VIDEO_DEVICE", path)
			run.Log.Info("The video loopback device is %s", path)
		},
		module: device.Module{
			Name: "v4l2loopback", Options: []string{fmt.Sprint("video_nr=", config.Number)},
			Install: "v4l2loopback-dkms", Setting: "loopbackVideoDeviceNumber",
			Devices: []string{"dev/" + name}, Proof: "sys/devices/virtual/video4linux/" + name,
			Group: "video",
		},
	}
}
