package all

import (
	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/features/artifacts"
	"github.com/taskcluster/generic-worker/features/backinglog"
	"github.com/taskcluster/generic-worker/features/chainoftrust"
	"github.com/taskcluster/generic-worker/features/encryptedenv"
	"github.com/taskcluster/generic-worker/features/livelog"
	"github.com/taskcluster/generic-worker/features/taskclusterproxy"
)

// Config is what the features of this build can be told.
type Config struct {
	LiveLog      livelog.Config
	EncryptedEnv encryptedenv.Config
	Artifacts    artifacts.Config
	ChainOfTrust chainoftrust.Config
	Proxy        *taskclusterproxy.Config // nil: not offered
}

// List returns the features in the order of their stages: the log is published
// before anything signs it, secrets are known to the log before anything can
// print them, artifacts are published before what they came from is gone and
// before the certificate hears how the run ends, and the proxy ends before all
// of that.
func List(config Config, live *livelog.Feature) []features.Feature {
	list := []features.Feature{
		live,
		backinglog.New(),
		encryptedenv.New(config.EncryptedEnv),
		chainoftrust.New(config.ChainOfTrust),
		artifacts.New(config.Artifacts),
	}
	if config.Proxy != nil {
		list = append(list, taskclusterproxy.New(*config.Proxy))
	}
	return list
}
