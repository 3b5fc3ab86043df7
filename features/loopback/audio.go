package loopback

import (
	"fmt"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
	"github.com/taskcluster/generic-worker/platform/device"
)

// NewAudio returns the feature of sound cards; the card is made for the first
// task that asks for it.
func NewAudio(config Config) features.Feature { return newFeature(audio(config)) }

// audio is a card with two devices: what is played on one is recorded on the
// other.
func audio(config Config) kind {
	n := config.Number
	k := kind{
		name: "loopbackAudio", what: "audio",
		asked: func(wanted payload.Features) bool { return wanted.LoopbackAudio },
		tell: func(run *task.Run) {
			run.Log.Info("The audio loopback device is card %d: hw:%d,0 and hw:%d,1", n, n, n)
		},
		module: device.Module{
			Name: "snd-aloop", Options: []string{fmt.Sprint("index=", n)},
			Install: "the modules of the kernel that are not in its smallest package (linux-modules-extra on Ubuntu)",
			Setting: "loopbackAudioDeviceNumber",
			Proof:   fmt.Sprint("sys/devices/*/snd_aloop*/sound/card", n),
			Group:   "audio",
		},
	}
	for _, name := range []string{"controlC%d", "pcmC%dD0c", "pcmC%dD0p", "pcmC%dD1c", "pcmC%dD1p"} {
		k.module.Devices = append(k.module.Devices, "dev/snd/"+fmt.Sprintf(name, n))
	}
	return k
}
