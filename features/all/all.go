package all

import (
	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/features/artifacts"
	"github.com/taskcluster/generic-worker/features/backinglog"
	"github.com/taskcluster/generic-worker/features/livelog"
)

// Config is what the features of this build can be told.
type Config struct {
	LiveLog   livelog.Config
	Artifacts artifacts.Config
}

// List returns the features in the order of their stages: the log is published
// before anything signs it, and artifacts before what they came from is gone.
func List(config Config, live *livelog.Feature) []features.Feature {
	return []features.Feature{
		live,
		backinglog.New(),
		artifacts.New(config.Artifacts),
	}
}
