package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/internal/build"
	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/telemetry"
	"github.com/taskcluster/generic-worker/internal/worker"
)

// settings are those that have an effect, defaults included.
type settings struct {
	RootURL               string         `json:"rootURL"`
	ClientID              string         `json:"clientId"`
	AccessToken           mask.Secret    `json:"accessToken"`
	Certificate           mask.Secret    `json:"certificate"`
	ProvisionerID         string         `json:"provisionerId"`
	WorkerType            string         `json:"workerType"`
	WorkerGroup           string         `json:"workerGroup"`
	WorkerID              string         `json:"workerId"`
	Engine                string         `json:"engine"`
	StateDir              string         `json:"stateDir"`
	TasksDir              string         `json:"tasksDir"`
	CleanUpTaskDirs       bool           `json:"cleanUpTaskDirs"`
	CachesDir             string         `json:"cachesDir"`
	DownloadsDir          string         `json:"downloadsDir"`
	RequiredDiskSpace     int64          `json:"requiredDiskSpaceMegabytes"`
	Capacity              int            `json:"capacity"`
	NumberOfTasksToRun    int64          `json:"numberOfTasksToRun"`
	IdleTimeoutSecs       int64          `json:"idleTimeoutSecs"`
	MaxTaskRunTime        int64          `json:"maxTaskRunTime"`
	GracePeriodSecs       int64          `json:"gracePeriodSecs"`
	ShutdownBudgetSecs    int64          `json:"shutdownBudgetSecs"`
	CancelCheckSecs       int64          `json:"cancelCheckSecs"`
	LogSizeLimitMegabytes int64          `json:"logSizeLimitMegabytes"`
	CreateObjectArtifacts bool           `json:"createObjectArtifacts"`
	WorkerTypeMetadata    map[string]any `json:"workerTypeMetadata"`
	WorkerLocation        string         `json:"workerLocation"`
	InstanceType          string         `json:"instanceType"`
	PublicIP              string         `json:"publicIP"`
	EnableLiveLog         bool           `json:"enableLiveLog"`
	EnableInteractive     bool           `json:"enableInteractive"`
	InteractivePort       int            `json:"interactivePort"`
	EnableMounts          bool           `json:"enableMounts"`
	ArtifactLimits        artifactLimits `json:"artifactLimits"`
	MountLimits           mountLimits    `json:"mountLimits"`
	PurgeCacheAgeHours    int64          `json:"purgeCacheAgeHours"`
	EnableProxy           bool           `json:"enableTaskclusterProxy"`
	ProxyPort             int            `json:"taskclusterProxyPort"`
	EnableOSGroups        bool           `json:"enableOSGroups"`
	EnableLoopbackVideo   bool           `json:"enableLoopbackVideo"`
	EnableLoopbackAudio   bool           `json:"enableLoopbackAudio"`
	LoopbackVideoDevice   int            `json:"loopbackVideoDeviceNumber"`
	LoopbackAudioDevice   int            `json:"loopbackAudioDeviceNumber"`
	LivelogExposePort     int            `json:"livelogExposePort"`
	EncryptedEnvKey       string         `json:"encryptedEnvKeyLocation"`
	ChainOfTrust          string         `json:"chainOfTrust"`
	EnableChainOfTrust    bool           `json:"enableChainOfTrust"`
	Ed25519SigningKey     string         `json:"ed25519SigningKeyLocation"`
	OpenPGPSigningKey     string         `json:"openpgpSigningKeyLocation"`
	SigningKeysReadable   bool           `json:"chainOfTrustKeysReadableByTasks"`
	PrivateIP             string         `json:"privateIP"`
	InstanceID            string         `json:"instanceId"`
	RunnersInstanceID     string         `json:"instanceID"` // as worker-runner spells it
	Region                string         `json:"region"`
	DockerPayloads        string         `json:"dockerPayloads"`
	DisableNativePayloads bool           `json:"disableNativePayloads"`
	EnableMetadata        bool           `json:"enableMetadata"`
	MetricsAddress        string         `json:"metricsAddress"`
	TracesURL             string         `json:"tracesURL"`
	EnableResources       bool           `json:"enableResourceMonitor"`
	HighMemorySecs        int64          `json:"allowedHighMemoryDurationSecs"`
	MaxMemoryPercent      int            `json:"maxMemoryUsagePercent"`
	MinAvailableMemory    int64          `json:"minAvailableMemoryBytes"`
	DisableOOMProtection  bool           `json:"disableOOMProtection"`
	TaskLimits            taskLimits     `json:"taskLimits"`
	LocalQueue            struct {
		Listen  string `json:"listen"`
		DataDir string `json:"dataDir"`
	} `json:"localQueue"`
}

// taskLimits are what one command may use; 0 is no limit.
type taskLimits struct {
	Memory    int64   `json:"memory"` // MiB
	Processes int     `json:"processes"`
	CPUs      float64 `json:"cpus"`
}

// artifactLimits are what a task may publish.
type artifactLimits struct {
	Files     int   `json:"files"`
	Megabytes int64 `json:"megabytes"`
}

// mountLimits are what a task may download and unpack.
type mountLimits struct {
	DownloadMegabytes int64 `json:"downloadMegabytes"`
	UnpackedMegabytes int64 `json:"unpackedMegabytes"`
	Entries           int64 `json:"entries"`
	Depth             int   `json:"depth"`
	Ratio             int64 `json:"ratio"`
	DecoderMegabytes  int64 `json:"decoderMegabytes"`
}

// decode returns what is set, with the defaults of what is not.
func (s *sources) decode() (settings, error) {
	full, err := s.root.withDefaults(s.settings)
	if err != nil {
		return settings{}, err
	}
	if full["rootURL"] == LocalRootURL {
		for name, value := range map[string]string{
			"provisionerId": LocalProvisionerID, "workerType": LocalWorkerType,
			"workerGroup": LocalWorkerGroup, "workerId": LocalWorkerID,
		} {
			if _, given := s.settings[name]; !given {
				full[name] = value
			}
		}
	}
	text, err := json.Marshal(full)
	if err != nil {
		return settings{}, fmt.Errorf("cannot encode the settings: %w", err)
	}
	// Only settings that the schema allows are left, so that their names have
	// the right case and their types fit.
	var set settings
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&set); err != nil {
		return settings{}, fmt.Errorf("cannot decode the settings: %w", err)
	}
	return set, nil
}

func (s settings) config() *Config {
	return &Config{
		Worker:          s.worker(),
		Features:        s.features(),
		Engine:          s.Engine,
		TasksDir:        absolute(s.TasksDir),
		CleanUpTaskDirs: s.CleanUpTaskDirs,
		Caches:          cache.Dirs{Caches: absolute(s.CachesDir), Downloads: absolute(s.DownloadsDir)},
		DiskSpace:       DiskSpace{Required: s.RequiredDiskSpace << 20},
		Credentials: queue.Credentials{
			ClientID: s.ClientID, AccessToken: s.AccessToken, Certificate: s.Certificate,
		},
		Telemetry: telemetry.Config{
			Worker: telemetry.Worker{
				PoolID: s.ProvisionerID + "/" + s.WorkerType, ID: s.WorkerID,
				Region: s.Region, InstanceType: s.InstanceType, Capacity: s.Capacity,
			},
			Version: build.Read().Version, MetricsAddress: s.MetricsAddress, TracesURL: s.TracesURL,
		},
		LogSizeLimit:          s.LogSizeLimitMegabytes << 20,
		CreateObjectArtifacts: s.CreateObjectArtifacts,
		LocalQueue: LocalQueue{
			Listen:  s.LocalQueue.Listen,
			DataDir: absolute(s.LocalQueue.DataDir),
		},
	}
}

func (s settings) worker() worker.Config {
	c := worker.Config{
		Identity: queue.Worker{
			TaskQueueID: s.ProvisionerID + "/" + s.WorkerType,
			WorkerGroup: s.WorkerGroup,
			WorkerID:    s.WorkerID,
		},
		RootURL:        strings.TrimRight(s.RootURL, "/"),
		Capacity:       s.Capacity,
		TasksToRun:     int(min(s.NumberOfTasksToRun, math.MaxInt)),
		IdleTimeout:    time.Duration(s.IdleTimeoutSecs) * time.Second,
		MaxTaskRunTime: time.Duration(s.MaxTaskRunTime) * time.Second,
		StateDir:       absolute(s.StateDir),
		RefuseDocker:   s.DockerPayloads == "refuse",
		RefuseNative:   s.DisableNativePayloads,
		WorkerLocation: s.WorkerLocation,
		InstanceType:   s.InstanceType,
		Metadata:       s.metadata(),
		Grace:          time.Duration(s.GracePeriodSecs) * time.Second,
		ShutdownBudget: time.Duration(s.ShutdownBudgetSecs) * time.Second,
		CancelCheck:    time.Duration(s.CancelCheckSecs) * time.Second,
		SpareTasks:     s.DisableOOMProtection,
	}
	c.Limits.Memory, c.Limits.Processes, c.Limits.CPUs = s.TaskLimits.Memory<<20, s.TaskLimits.Processes, s.TaskLimits.CPUs
	return c
}

// metadata is what the pool's owner gave, and what is known of this worker.
func (s settings) metadata() map[string]any {
	built := build.Read()
	own := map[string]any{
		"go-arch":    built.Arch,
		"go-os":      built.OS,
		"go-version": built.GoVersion,
		"version":    built.Version,
		"engine":     s.Engine,
		"config":     map[string]any{"capacity": s.Capacity},
	}
	if built.Revision != "" {
		own["revision"] = built.Revision
	}
	return merge(s.WorkerTypeMetadata, map[string]any{"generic-worker": own})
}
