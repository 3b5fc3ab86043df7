package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/features/all"
	"github.com/taskcluster/generic-worker/features/artifacts"
	"github.com/taskcluster/generic-worker/features/chainoftrust"
	"github.com/taskcluster/generic-worker/features/interactive"
	"github.com/taskcluster/generic-worker/features/livelog"
	"github.com/taskcluster/generic-worker/features/loopback"
	"github.com/taskcluster/generic-worker/features/metadata"
	"github.com/taskcluster/generic-worker/features/mounts"
	"github.com/taskcluster/generic-worker/features/resourcemonitor"
	"github.com/taskcluster/generic-worker/features/taskclusterproxy"
	"github.com/taskcluster/generic-worker/internal/build"
	"github.com/taskcluster/generic-worker/internal/cache"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/telemetry"
	"github.com/taskcluster/generic-worker/internal/unpack"
	"github.com/taskcluster/generic-worker/internal/worker"
)

// write puts a configuration into a directory that only its owner can enter.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, path string, environ ...string) *Config {
	t.Helper()
	c, err := Load(path, environ)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

func abs(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOfficial reads a file that has every setting of the official worker, none
// of them as it is by default.
func TestOfficial(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/official.json")
	if err != nil {
		t.Fatal(err)
	}
	got := load(t, write(t, "generic-worker.config", string(text)))
	built := build.Read()
	own := map[string]any{
		"note": "kept", "engine": "insecure", "version": built.Version, "go-version": built.GoVersion,
		"go-os": built.OS, "go-arch": built.Arch, "config": map[string]any{"capacity": 2},
	}
	if built.Revision != "" {
		own["revision"] = built.Revision
	}
	want := &Config{
		Worker: worker.Config{
			Identity:       queue.Worker{TaskQueueID: "proj-example/linux", WorkerGroup: "us-central1", WorkerID: "1234567890"},
			RootURL:        "https://tc.example.com",
			Capacity:       2,
			TasksToRun:     3,
			IdleTimeout:    time.Hour,
			MaxTaskRunTime: 2 * time.Hour,
			StateDir:       abs(t, "state"),
			WorkerLocation: `{"cloud":"google","region":"us-central1","zone":"us-central1-a"}`,
			InstanceType:   "n2-standard-2",
			Metadata: map[string]any{
				"machine-setup":  map[string]any{"maintainer": "ops@example.com", "images": json.Number("12345678901234567890")},
				"generic-worker": own,
			},
			Grace:          10 * time.Second,
			ShutdownBudget: 20 * time.Second,
			CancelCheck:    29 * time.Second, SpareTasks: true, RefuseNative: true,
		},
		Features: all.Config{
			Artifacts: artifacts.Config{MaxFiles: 10_000, MaxBytes: 50 << 30},
			LiveLog:   livelog.Config{PublicIP: "192.0.2.3", ExposePort: 32000},
			ChainOfTrust: chainoftrust.Config{
				Off:             true,
				Ed25519Location: abs(t, "/etc/generic-worker/ed25519_key"),
				Machine: chainoftrust.Machine{
					PublicIP: "192.0.2.3", PrivateIP: "10.0.0.3", InstanceID: "1234567890", InstanceType: "n2-standard-2", Region: "us-central1",
				},
			},
		},
		Engine:   "insecure",
		TasksDir: abs(t, "/home"),
		Caches:   cache.Dirs{Caches: abs(t, "/home/caches"), Downloads: abs(t, "/home/downloads")}, DiskSpace: DiskSpace{Required: 20 << 30},
		Credentials: queue.Credentials{
			ClientID: "worker/google/proj-example", AccessToken: "not-a-real-token",
			Certificate: `{"version":1,"signature":"not-a-real-signature"}`,
		},
		LogSizeLimit:          1 << 30,
		CreateObjectArtifacts: true,
		LocalQueue:            LocalQueue{Listen: "127.0.0.1:8080", DataDir: abs(t, "queue")},
		Telemetry: telemetry.Config{
			Version: built.Version,
			Worker: telemetry.Worker{
				PoolID: "proj-example/linux", ID: "1234567890", Region: "us-central1", InstanceType: "n2-standard-2", Capacity: 2,
			},
		},
		Ineffective: []string{
			"availabilityZone", "d2gConfig.allowChainOfTrust",
			"d2gConfig.allowDisableSeccomp", "d2gConfig.allowGPUs", "d2gConfig.allowHostSharedMemory",
			"d2gConfig.allowInteractive", "d2gConfig.allowKVM", "d2gConfig.allowLoopbackAudio",
			"d2gConfig.allowLoopbackVideo", "d2gConfig.allowPrivileged", "d2gConfig.allowPtrace",
			"d2gConfig.allowTaskclusterProxy", "d2gConfig.enableD2G", "d2gConfig.gpus", "d2gConfig.logTranslation",
			"headlessTasks",
			"livelogExecutable", "livelogPortBase",
			"runAfterUserCreation", "sentryProject", "shutdownMachineOnIdle",
			"shutdownMachineOnInternalError", "taskclusterProxyExecutable", "wstAudience", "wstServerURL",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOfficialIsComplete sees to it that official.json has all settings but
// those that the official worker does not know.
func TestOfficialIsComplete(t *testing.T) {
	t.Parallel()
	root, err := readKeys()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/official.json")
	if err != nil {
		t.Fatal(err)
	}
	var official map[string]any
	if err := json.Unmarshal(text, &official); err != nil {
		t.Fatal(err)
	}
	var own []string
	for _, name := range slices.Sorted(maps.Keys(root.Properties)) {
		if _, there := official[name]; !there && !root.Properties[name].Deprecated {
			own = append(own, name)
		}
	}
	want := []string{
		"artifactLimits", "cancelCheckSecs", "chainOfTrust", "chainOfTrustKeysReadableByTasks", "dockerPayloads", "encryptedEnvKeyLocation", "engine", "gracePeriodSecs",
		"localQueue", "logSizeLimitMegabytes", "metricsAddress", "mountLimits", "openpgpSigningKeyLocation", "purgeCacheAgeHours", "shutdownBudgetSecs", "stateDir", "taskLimits", "tracesURL",
	}
	if diff := cmp.Diff(want, own); diff != "" {
		t.Errorf("settings the official worker does not have (-want +got):\n%s", diff)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got := load(t, write(t, "local.yml", "rootURL: local\n"))
	got.Worker.Metadata = nil
	want := &Config{
		Worker: worker.Config{
			Identity: queue.Worker{TaskQueueID: "local/generic-worker", WorkerGroup: "local", WorkerID: "local"},
			RootURL:  LocalRootURL, Capacity: 1, MaxTaskRunTime: 24 * time.Hour, StateDir: abs(t, "state"),
			Grace: 10 * time.Second, ShutdownBudget: 20 * time.Second, CancelCheck: 29 * time.Second,
		},
		Features: all.Config{
			LiveLog:     livelog.Config{Enabled: true},
			Artifacts:   artifacts.Config{MaxFiles: 10_000, MaxBytes: 50 << 30},
			Metadata:    metadata.Config{Path: abs(t, "generic-worker-metadata.json")},
			Resources:   &resourcemonitor.Config{MaxPercent: 90, MinAvailable: 500 << 20, Allowed: 5 * time.Second},
			Interactive: &interactive.Config{},
			Mounts: &mounts.Config{
				MaxBytes: 20 << 30, PurgeAge: 24 * time.Hour,
				Limits: unpack.Limits{Bytes: 20 << 30, Entries: 1_000_000, Depth: 128, Ratio: 200, Memory: 128 << 20},
			},
			Proxy: &taskclusterproxy.Config{Tasks: 1, Version: build.Read().Version, Revision: build.Read().Revision},

			LoopbackVideo: &loopback.Config{Number: 0},
			LoopbackAudio: &loopback.Config{Number: 16},
			OSGroups:      true,
		},
		Engine: "insecure", TasksDir: abs(t, "tasks"), CleanUpTaskDirs: true, LogSizeLimit: 1 << 30,
		Caches:     cache.Dirs{Caches: abs(t, "caches"), Downloads: abs(t, "downloads")},
		DiskSpace:  DiskSpace{Required: 10 << 30, Lenient: true},
		LocalQueue: LocalQueue{Listen: "127.0.0.1:8080", DataDir: abs(t, "queue")},
		Telemetry: telemetry.Config{
			Version: build.Read().Version,
			Worker:  telemetry.Worker{PoolID: "local/generic-worker", ID: "local", Capacity: 1},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	local := Local()
	local.Worker.Metadata = nil
	if diff := cmp.Diff(want, local); diff != "" {
		t.Errorf("Local (-want +got):\n%s", diff)
	}
}

func TestLocalNames(t *testing.T) {
	t.Parallel()
	got := load(t, write(t, "c.yml", "rootURL: local\nprovisionerId: p\nworkerId: w\n"), "GENERIC_WORKER_WORKER_TYPE=t")
	if diff := cmp.Diff(queue.Worker{TaskQueueID: "p/t", WorkerGroup: "local", WorkerID: "w"}, got.Worker.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

// TestLocalQueueUnused sets up the embedded queue as it could not work, and
// does not use it.
func TestLocalQueueUnused(t *testing.T) {
	t.Parallel()
	load(t, write(t, "c.yml", "rootURL: https://tc.example.com\nclientId: c\naccessToken: a\nworkerType: t\nworkerId: w\n"+
		"localQueue: {dataDir: tasks, listen: '127.0.0.1:99999'}\n"))
}

func TestRemoteDefaults(t *testing.T) {
	t.Parallel()
	got := load(t, write(t, "c.yml", "rootURL: https://tc.example.com/\nclientId: c\naccessToken: a\nworkerType: t\nworkerId: w\n"))
	want := queue.Worker{TaskQueueID: "test-provisioner/t", WorkerGroup: "test-worker-group", WorkerID: "w"}
	if diff := cmp.Diff(want, got.Worker.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if got.Worker.RootURL != "https://tc.example.com" {
		t.Errorf("root URL %s has a slash at its end", got.Worker.RootURL)
	}
	if len(got.Ineffective) > 0 || len(got.Warnings) > 0 {
		t.Errorf("ineffective %v, warnings %v; want none", got.Ineffective, got.Warnings)
	}
}

// TestIneffective asks for what this build does not have, and for what it does
// without being asked.
func TestIneffective(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"sentryProject: generic-worker":                       nil, // the default
		"sentryProject: other":                                {"sentryProject"},
		"loopbackAudioDeviceNumber: 1.6e1":                    nil, // the default
		"enableMounts: false":                                 nil,
		"disableReboots: true":                                nil,
		"shutdownMachineOnIdle: false":                        nil,
		"shutdownMachineOnIdle: true":                         {"shutdownMachineOnIdle"},
		"privateIP: null":                                     nil,
		"d2gConfig: {}":                                       nil,
		"d2gConfig: {enableD2G: true, gpus: all}":             {"d2gConfig.enableD2G"},
		"dockerPayloads: refuse":                              nil,
		"instanceID: i-1":                                     nil,
		"localQueue: {listen: 127.0.0.1:1}\nengine: insecure": nil,
	} {
		got := load(t, write(t, "c.yml", "rootURL: local\n"+text+"\n")).Ineffective
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	got := load(t, "", "GENERIC_WORKER_ROOT_URL=local", "GENERIC_WORKER_WST_AUDIENCE=a").Ineffective
	if diff := cmp.Diff([]string{"wstAudience"}, got); diff != "" {
		t.Errorf("from the environment (-want +got):\n%s", diff)
	}
}

func TestDockerPayloads(t *testing.T) {
	t.Parallel()
	for text, refused := range map[string]struct{ docker, native bool }{
		"":                            {},
		"dockerPayloads: native":      {},
		"dockerPayloads: refuse":      {docker: true},
		"disableNativePayloads: true": {native: true},
	} {
		got := load(t, write(t, "c.yml", "rootURL: local\n"+text+"\n")).Worker
		if got.RefuseDocker != refused.docker || got.RefuseNative != refused.native {
			t.Errorf("%s: refused are those for docker-worker: %v, others: %v", text, got.RefuseDocker, got.RefuseNative)
		}
	}
}

// TestPrintingShowsNoSecret prints a configuration in every way there is.
func TestPrintingShowsNoSecret(t *testing.T) {
	t.Parallel()
	const token, certificate = "tok3n-hunter2", `{"c3rt":"hunter2"}`
	path := write(t, "c.yml", fmt.Sprintf("rootURL: https://tc.example.com\nclientId: c\naccessToken: %s\ncertificate: '%s'\nworkerType: t\nworkerId: w\n", token, certificate))
	c := load(t, path)
	if c.Credentials.AccessToken != token || c.Credentials.Certificate != certificate {
		t.Fatal("the secrets were not read")
	}
	var out bytes.Buffer
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&out, format, c)
		fmt.Fprintf(&out, format, *c)
		fmt.Fprintf(&out, format, c.Credentials)
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	slog.New(slog.NewTextHandler(&out, nil)).Info("config", "config", c, "credentials", c.Credentials)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("config", "config", c, "credentials", c.Credentials)
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("a secret is shown:\n%s", out.String())
	}
}

// TestErrorsShowNoSecret breaks configurations where their secrets are.
func TestErrorsShowNoSecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"accessToken: [hunter2]", "accessToken: {a: hunter2}", "certificate: hunter2", "accesstoken: hunter2",
		"accessToken: a\naccessToken: hunter2",
	} {
		_, err := Load(write(t, "c.yml", "rootURL: local\n"+text+"\n"), []string{"GENERIC_WORKER_ACCES_TOKEN=hunter2"})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestLoadWithoutFile(t *testing.T) {
	t.Parallel()
	_, err := Load(filepath.Join(t.TempDir(), "none.yml"), nil)
	if fault, ok := errors.AsType[*Error](err); !ok || fault.Fault != Unreadable || len(fault.Problems) != 1 {
		t.Errorf("got %v, want one sentence about a file that cannot be read", err)
	}
	_, err = Load("", nil)
	if fault, ok := errors.AsType[*Error](err); !ok || fault.Fault != Invalid {
		t.Errorf("got %v, want a sentence about rootURL", err)
	}
}

func FuzzConfig(f *testing.F) {
	official, err := os.ReadFile("testdata/official.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(official, "GENERIC_WORKER_CAPACITY=2")
	f.Add([]byte("rootURL: local\nlocalQueue: {listen: 127.0.0.1:0}\n"), `GENERIC_WORKER_LOCAL_QUEUE={"dataDir":"q"}`)
	f.Add([]byte("rootURL: https://tc.example.com\naccessToken: 1\n"), "GENERIC_WORKER_D2G_CONFIG=[]")
	f.Add([]byte("a: &a [*a]"), "GENERIC_WORKER_ACCESS_TOKEN_FILE=\xff")
	f.Fuzz(func(t *testing.T, text []byte, variable string) {
		path := filepath.Join(t.TempDir(), "c.yml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, []string{variable})
		if err != nil {
			fault, ok := errors.AsType[*Error](err)
			if !ok || len(fault.Problems) == 0 || err.Error() == "" {
				t.Fatalf("an error that explains nothing: %v", err)
			}
			return
		}
		if c.Worker.Capacity < 1 || c.Worker.RootURL == "" || c.Worker.MaxTaskRunTime <= 0 || c.Engine != insecure || !filepath.IsAbs(c.TasksDir) {
			t.Fatalf("a configuration that cannot work: %+v", c)
		}
	})
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// TestChainOfTrust reads the settings about certificates.
func TestChainOfTrust(t *testing.T) {
	t.Parallel()
	got := load(t, write(t, "c.yml", "rootURL: local\nchainOfTrust: always\ned25519SigningKeyLocation: ed.key\nopenpgpSigningKeyLocation: /pgp.key\n"+
		"chainOfTrustKeysReadableByTasks: true\ninstanceID: i-1\n")).Features.ChainOfTrust
	want := chainoftrust.Config{
		Ed25519Location: abs(t, "ed.key"), OpenPGPLocation: abs(t, "/pgp.key"), Always: true, AllowReadable: true,
		Machine: chainoftrust.Machine{InstanceID: "i-1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := Local().Features.ChainOfTrust; got.Always || got.AllowReadable || got.Ed25519Location != "" || got.OpenPGPLocation != "" {
		t.Errorf("by default it is %+v", got)
	}
	for _, text := range []string{"chainOfTrust: true\n", "chainOfTrust: never\n", "ed25519SigningKeyLocation: tasks/ed.key\n", "openpgpSigningKeyLocation: tasks/pgp.key\n"} {
		if c, err := Load(write(t, "c.yml", "rootURL: local\n"+text), nil); err == nil {
			t.Errorf("%s was read as %+v", text, c.Features.ChainOfTrust)
		}
	}
}
