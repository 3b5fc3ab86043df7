package config

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// ineffective returns the settings that ask for something this build does not
// have, sorted. A setting that has its default asks for nothing.
func (k *key) ineffective(settings map[string]any) []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		below := k.Properties[name]
		if below == nil || effective(name) {
			continue
		}
		if members, ok := settings[name].(map[string]any); ok && below.Properties != nil {
			for _, inner := range below.ineffective(members) {
				found = append(found, name+"."+inner)
			}
			continue
		}
		if !below.isDefault(settings[name]) {
			found = append(found, name)
		}
	}
	return found
}

func (k *key) isDefault(value any) bool {
	usual, err := decode(k.Default)
	if err != nil {
		return false
	}
	if number, ok := value.(json.Number); ok {
		return usual == number
	}
	return reflect.DeepEqual(usual, value)
}

// effective tells whether this build does what the setting says, whatever it
// says. That is also so for what switches off something that this build does
// not have.
func effective(name string) bool {
	switch name {
	case "rootURL", "clientId", "accessToken", "certificate",
		"provisionerId", "workerType", "workerGroup", "workerId",
		"engine", "dockerPayloads", "disableNativePayloads", "stateDir", "tasksDir", "cleanUpTaskDirs", "localQueue", "cachesDir", "downloadsDir", "requiredDiskSpaceMegabytes",
		"capacity", "numberOfTasksToRun", "idleTimeoutSecs", "maxTaskRunTime",
		"artifactLimits", "mountLimits", "purgeCacheAgeHours",
		"gracePeriodSecs", "shutdownBudgetSecs", "cancelCheckSecs", "logSizeLimitMegabytes",
		"createObjectArtifacts", "workerTypeMetadata", "workerLocation", "instanceType",
		"publicIP", "privateIP", "instanceId", "instanceID", "region", "livelogExposePort", "interactivePort", "encryptedEnvKeyLocation", "taskclusterProxyPort",
		"loopbackVideoDeviceNumber", "loopbackAudioDeviceNumber",
		"metricsAddress", "tracesURL",
		"taskLimits", "allowedHighMemoryDurationSecs", "maxMemoryUsagePercent", "minAvailableMemoryBytes", "disableOOMProtection",
		"chainOfTrust", "ed25519SigningKeyLocation", "openpgpSigningKeyLocation", "chainOfTrustKeysReadableByTasks":
		return true
	case "disableReboots":
		return true
	}
	return strings.HasPrefix(name, "enable") && name != "enableD2G"
}
