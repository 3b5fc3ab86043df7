package config

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/features/all"
	"github.com/taskcluster/generic-worker/features/chainoftrust"
	"github.com/taskcluster/generic-worker/features/encryptedenv"
	"github.com/taskcluster/generic-worker/features/livelog"
	"github.com/taskcluster/generic-worker/features/taskclusterproxy"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/worker"
)

// settings are those that have an effect, defaults included.
type settings struct {
	RootURL               string         `json:"rootURL"`
	ClientID              string         `json:"clientId"`
	AccessToken           queue.Secret   `json:"accessToken"`
	Certificate           queue.Secret   `json:"certificate"`
	ProvisionerID         string         `json:"provisionerId"`
	WorkerType            string         `json:"workerType"`
	WorkerGroup           string         `json:"workerGroup"`
	WorkerID              string         `json:"workerId"`
	Engine                string         `json:"engine"`
	StateDir              string         `json:"stateDir"`
	TasksDir              string         `json:"tasksDir"`
	CleanUpTaskDirs       bool           `json:"cleanUpTaskDirs"`
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
	EnableProxy           bool           `json:"enableTaskclusterProxy"`
	ProxyPort             int            `json:"taskclusterProxyPort"`
	LivelogExposePort     int            `json:"livelogExposePort"`
	EncryptedEnvKey       string         `json:"encryptedEnvKeyLocation"`
	ChainOfTrust          string         `json:"chainOfTrust"`
	Ed25519SigningKey     string         `json:"ed25519SigningKeyLocation"`
	OpenPGPSigningKey     string         `json:"openpgpSigningKeyLocation"`
	SigningKeysReadable   bool           `json:"chainOfTrustKeysReadableByTasks"`
	PrivateIP             string         `json:"privateIP"`
	InstanceID            string         `json:"instanceId"`
	RunnersInstanceID     string         `json:"instanceID"` // as worker-runner spells it
	Region                string         `json:"region"`
	LocalQueue            struct {
		Listen  string `json:"listen"`
		DataDir string `json:"dataDir"`
	} `json:"localQueue"`
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
		Worker: worker.Config{
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
			WorkerLocation: s.WorkerLocation,
			InstanceType:   s.InstanceType,
			Metadata:       s.metadata(),
			Grace:          time.Duration(s.GracePeriodSecs) * time.Second,
			ShutdownBudget: time.Duration(s.ShutdownBudgetSecs) * time.Second,
			CancelCheck:    time.Duration(s.CancelCheckSecs) * time.Second,
		},
		Features: all.Config{
			LiveLog: livelog.Config{
				Enabled:    s.EnableLiveLog,
				PublicIP:   s.PublicIP,
				ExposePort: s.LivelogExposePort,
			},
			EncryptedEnv: encryptedenv.Config{KeyLocation: fileOf(s.EncryptedEnvKey)},
			ChainOfTrust: s.chainOfTrust(),
			Proxy:        s.proxy(),
		},
		Engine:          s.Engine,
		TasksDir:        absolute(s.TasksDir),
		CleanUpTaskDirs: s.CleanUpTaskDirs,
		Credentials: queue.Credentials{
			ClientID: s.ClientID, AccessToken: s.AccessToken, Certificate: s.Certificate,
		},
		LogSizeLimit:          s.LogSizeLimitMegabytes << 20,
		CreateObjectArtifacts: s.CreateObjectArtifacts,
		LocalQueue: LocalQueue{
			Listen:  s.LocalQueue.Listen,
			DataDir: absolute(s.LocalQueue.DataDir),
		},
	}
}

func (s settings) chainOfTrust() chainoftrust.Config {
	return chainoftrust.Config{
		Ed25519Location: fileOf(s.Ed25519SigningKey),
		OpenPGPLocation: fileOf(s.OpenPGPSigningKey),
		Always:          s.ChainOfTrust == "always",
		AllowReadable:   s.SigningKeysReadable,
		Machine: chainoftrust.Machine{
			PublicIP: s.PublicIP, PrivateIP: s.PrivateIP,
			InstanceID: cmp.Or(s.InstanceID, s.RunnersInstanceID), InstanceType: s.InstanceType, Region: s.Region,
		},
	}
}

// proxy is nil if the proxy is not offered. Its root URL is known when the
// worker starts.
func (s settings) proxy() *taskclusterproxy.Config {
	if !s.EnableProxy {
		return nil
	}
	build := ReadBuild()
	return &taskclusterproxy.Config{
		Port: s.ProxyPort, Tasks: s.Capacity, Version: build.Version, Revision: build.Revision,
	}
}

// fileOf is the absolute path of a file, and empty for none.
func fileOf(path string) string {
	if path == "" {
		return ""
	}
	return absolute(path)
}

// metadata is what the pool's owner gave, and what is known of this worker.
func (s settings) metadata() map[string]any {
	build := ReadBuild()
	own := map[string]any{
		"go-arch":    build.Arch,
		"go-os":      build.OS,
		"go-version": build.GoVersion,
		"version":    build.Version,
		"engine":     s.Engine,
		"config":     map[string]any{"capacity": s.Capacity},
	}
	if build.Revision != "" {
		own["revision"] = build.Revision
	}
	return merge(s.WorkerTypeMetadata, map[string]any{"generic-worker": own})
}
