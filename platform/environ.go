package platform

import (
	"slices"
	"strings"
)

// secretMin is the length below which a secret is not looked for: a word so
// short is in every variable, and no secret.
const secretMin = 8

// private lists what in the worker's environment is for the worker alone: its
// configuration and credentials, and its ties to the service manager. A name
// that ends in an underscore stands for all that begin so.
var private = [...]string{
	"TASKCLUSTER_", "GENERIC_WORKER_", "LISTEN_", "WATCHDOG_",
	"NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY", "INVOCATION_ID", "JOURNAL_STREAM",
	"PWD", "OLDPWD", // true for the worker only
}

// inherited returns what a task gets of the worker's environment: all but the
// private variables and those whose value contains a secret.
func inherited(environ, secrets []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		name, value, _ := strings.Cut(variable, "=")
		return isPrivate(variableKey(name)) || slices.ContainsFunc(secrets, func(secret string) bool {
			return len(secret) >= secretMin && strings.Contains(value, secret)
		})
	})
}

func isPrivate(key string) bool {
	return slices.ContainsFunc(private[:], func(name string) bool {
		return key == name || strings.HasSuffix(name, "_") && strings.HasPrefix(key, name)
	})
}

// merge returns the base with the variables of env added; those of env win.
// The result is sorted, so that equal environments look equal.
func merge(base []string, env map[string]string) []string {
	values := make(map[string]string, len(base)+len(env))
	for _, variable := range base {
		// Windows keeps a directory per drive in variables such as "=C:".
		at := strings.IndexByte(variable[min(1, len(variable)):], '=') + 1
		if at > 0 {
			values[variableKey(variable[:at])] = variable
		}
	}
	for name, value := range env {
		values[variableKey(name)] = name + "=" + value
	}
	merged := make([]string, 0, len(values))
	for _, variable := range values {
		merged = append(merged, variable)
	}
	slices.Sort(merged)
	return merged
}
