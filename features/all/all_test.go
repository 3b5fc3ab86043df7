package all

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/features/chainoftrust"
	"github.com/taskcluster/generic-worker/features/interactive"
	"github.com/taskcluster/generic-worker/features/livelog"
	"github.com/taskcluster/generic-worker/features/loopback"
	"github.com/taskcluster/generic-worker/features/mounts"
	"github.com/taskcluster/generic-worker/features/resourcemonitor"
	"github.com/taskcluster/generic-worker/features/taskclusterproxy"
)

// TestOffered switches features off one by one: a task that asks for one of them
// is malformed because it is not in the list.
func TestOffered(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	live, shell := livelog.New(livelog.Config{}, log), interactive.New(interactive.Config{}, log)
	whole := Config{
		Mounts: &mounts.Config{}, LoopbackVideo: &loopback.Config{}, LoopbackAudio: &loopback.Config{}, OSGroups: true,
		Resources: &resourcemonitor.Config{}, Proxy: &taskclusterproxy.Config{},
	}
	offered := func(c Config, shell *interactive.Feature, name string) bool {
		return slices.ContainsFunc(List(c, live, shell), func(f features.Feature) bool { return f.Name() == name })
	}
	for name, off := range map[string]func(*Config){
		"mounts":           func(c *Config) { c.Mounts = nil },
		"loopbackVideo":    func(c *Config) { c.LoopbackVideo = nil },
		"loopbackAudio":    func(c *Config) { c.LoopbackAudio = nil },
		"osGroups":         func(c *Config) { c.OSGroups = false },
		"resourceMonitor":  func(c *Config) { c.Resources = nil },
		"taskclusterProxy": func(c *Config) { c.Proxy = nil },
		"chainOfTrust":     func(c *Config) { c.ChainOfTrust = chainoftrust.Config{Off: true} },
	} {
		without := whole
		off(&without)
		if !offered(whole, shell, name) || offered(without, shell, name) {
			t.Errorf("%s cannot be switched off", name)
		}
	}
	if !offered(whole, shell, "interactive") || offered(whole, nil, "interactive") {
		t.Error("interactive cannot be switched off")
	}
}
