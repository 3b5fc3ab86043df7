package config

import (
	"cmp"
	"time"

	"github.com/taskcluster/generic-worker/features/all"
	"github.com/taskcluster/generic-worker/features/artifacts"
	"github.com/taskcluster/generic-worker/features/chainoftrust"
	"github.com/taskcluster/generic-worker/features/encryptedenv"
	"github.com/taskcluster/generic-worker/features/interactive"
	"github.com/taskcluster/generic-worker/features/livelog"
	"github.com/taskcluster/generic-worker/features/loopback"
	"github.com/taskcluster/generic-worker/features/metadata"
	"github.com/taskcluster/generic-worker/features/mounts"
	"github.com/taskcluster/generic-worker/features/resourcemonitor"
	"github.com/taskcluster/generic-worker/features/taskclusterproxy"
	"github.com/taskcluster/generic-worker/internal/build"
	"github.com/taskcluster/generic-worker/internal/unpack"
)

func (s settings) features() all.Config {
	return all.Config{
		LiveLog: livelog.Config{
			Enabled:    s.EnableLiveLog,
			PublicIP:   s.PublicIP,
			ExposePort: s.LivelogExposePort,
		},
		EncryptedEnv:  encryptedenv.Config{KeyLocation: fileOf(s.EncryptedEnvKey)},
		Artifacts:     artifacts.Config{MaxFiles: s.ArtifactLimits.Files, MaxBytes: s.ArtifactLimits.Megabytes << 20},
		ChainOfTrust:  s.chainOfTrust(),
		Mounts:        s.mounts(),
		Metadata:      s.metadataFile(),
		LoopbackVideo: device(s.EnableLoopbackVideo, s.LoopbackVideoDevice),
		LoopbackAudio: device(s.EnableLoopbackAudio, s.LoopbackAudioDevice),
		OSGroups:      s.EnableOSGroups,
		Resources:     s.resources(),
		Proxy:         s.proxy(),
		Interactive:   s.interactive(),
	}
}

// resources is nil if nothing is to be measured.
func (s settings) resources() *resourcemonitor.Config {
	if !s.EnableResources {
		return nil
	}
	return &resourcemonitor.Config{
		MaxPercent: s.MaxMemoryPercent, MinAvailable: s.MinAvailableMemory,
		Allowed: time.Duration(s.HighMemorySecs) * time.Second, WarnOnly: s.DisableOOMProtection,
	}
}

func (s settings) chainOfTrust() chainoftrust.Config {
	return chainoftrust.Config{
		Ed25519Location: fileOf(s.Ed25519SigningKey),
		OpenPGPLocation: fileOf(s.OpenPGPSigningKey),
		Off:             !s.EnableChainOfTrust,
		Always:          s.ChainOfTrust == "always" && s.EnableChainOfTrust,
		AllowReadable:   s.SigningKeysReadable,
		Machine: chainoftrust.Machine{
			PublicIP: s.PublicIP, PrivateIP: s.PrivateIP,
			InstanceID: cmp.Or(s.InstanceID, s.RunnersInstanceID), InstanceType: s.InstanceType, Region: s.Region,
		},
	}
}

// device is nil if tasks cannot ask for it.
func device(enabled bool, number int) *loopback.Config {
	if !enabled {
		return nil
	}
	return &loopback.Config{Number: number}
}

// mounts is nil if mounts are not offered.
func (s settings) mounts() *mounts.Config {
	if !s.EnableMounts {
		return nil
	}
	l := s.MountLimits
	return &mounts.Config{
		MaxBytes: l.DownloadMegabytes << 20,
		Limits: unpack.Limits{
			Bytes: l.UnpackedMegabytes << 20, Entries: l.Entries, Depth: l.Depth, Ratio: l.Ratio, Memory: l.DecoderMegabytes << 20,
		},
		PurgeAge: time.Duration(s.PurgeCacheAgeHours) * time.Hour,
	}
}

// proxy is nil if the proxy is not offered. Its root URL is known when the
// worker starts.
func (s settings) proxy() *taskclusterproxy.Config {
	if !s.EnableProxy {
		return nil
	}
	built := build.Read()
	return &taskclusterproxy.Config{
		Port: s.ProxyPort, Tasks: s.Capacity, Version: built.Version, Revision: built.Revision,
	}
}

// interactive is nil if shells are not offered. Its root URL is known when the
// worker starts.
func (s settings) interactive() *interactive.Config {
	if !s.EnableInteractive {
		return nil
	}
	return &interactive.Config{PublicIP: s.PublicIP, Port: s.InteractivePort}
}

// metadataFile is where the official worker has it, too: in the directory the
// worker was started in. Its root URL is known when the worker starts.
func (s settings) metadataFile() metadata.Config {
	if !s.EnableMetadata {
		return metadata.Config{}
	}
	return metadata.Config{Path: absolute("generic-worker-metadata.json")}
}

// fileOf is the absolute path of a file, and empty for none.
func fileOf(path string) string {
	if path == "" {
		return ""
	}
	return absolute(path)
}
