package all

import (
	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/features/artifacts"
	"github.com/taskcluster/generic-worker/features/backinglog"
	"github.com/taskcluster/generic-worker/features/chainoftrust"
	"github.com/taskcluster/generic-worker/features/encryptedenv"
	"github.com/taskcluster/generic-worker/features/interactive"
	"github.com/taskcluster/generic-worker/features/livelog"
	"github.com/taskcluster/generic-worker/features/loopback"
	"github.com/taskcluster/generic-worker/features/metadata"
	"github.com/taskcluster/generic-worker/features/mounts"
	"github.com/taskcluster/generic-worker/features/osgroups"
	"github.com/taskcluster/generic-worker/features/phasetimings"
	"github.com/taskcluster/generic-worker/features/resourcemonitor"
	"github.com/taskcluster/generic-worker/features/taskclusterproxy"
)

// Config is what the features of this build can be told.
type Config struct {
	LiveLog      livelog.Config
	EncryptedEnv encryptedenv.Config
	Artifacts    artifacts.Config
	ChainOfTrust chainoftrust.Config
	Mounts       *mounts.Config // nil: not offered
	Metadata     metadata.Config
	// Of these nil or false is: not offered.
	LoopbackVideo *loopback.Config
	LoopbackAudio *loopback.Config
	OSGroups      bool
	Resources     *resourcemonitor.Config
	Proxy         *taskclusterproxy.Config
	Interactive   *interactive.Config
}

// List returns the features in the order of their stages: the log is published
// before anything signs it, secrets are known to the log before anything can
// print them, artifacts are published before what they came from is gone (a
// cache that is taken back, say) and before the certificate hears how the run
// ends, and the proxy ends before all of that. Shells are the first to end, as
// they can use and change all else. The features that serve people are made by
// who starts them; without a shell none is offered.
func List(config Config, live *livelog.Feature, shell *interactive.Feature) []features.Feature {
	list := []features.Feature{
		live,
		backinglog.New(),
		metadata.New(config.Metadata),
		encryptedenv.New(config.EncryptedEnv),
		phasetimings.New(),
	}
	if !config.ChainOfTrust.Off {
		list = append(list, chainoftrust.New(config.ChainOfTrust))
	}
	if config.Mounts != nil {
		list = append(list, mounts.New(*config.Mounts))
	}
	list = append(list, artifacts.New(config.Artifacts))
	if config.Resources != nil {
		list = append(list, resourcemonitor.New(*config.Resources))
	}
	if config.LoopbackVideo != nil {
		list = append(list, loopback.NewVideo(*config.LoopbackVideo))
	}
	if config.LoopbackAudio != nil {
		list = append(list, loopback.NewAudio(*config.LoopbackAudio))
	}
	if config.OSGroups {
		list = append(list, osgroups.New())
	}
	if config.Proxy != nil {
		list = append(list, taskclusterproxy.New(*config.Proxy))
	}
	if shell != nil {
		list = append(list, shell)
	}
	return list
}
