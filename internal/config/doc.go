// Package config reads the configuration of a worker into the structs that the
// other packages own.
//
// A setting is looked for in three places, the first that has it wins:
//
//  1. the environment: GENERIC_WORKER_<KEY>, where KEY is the setting's name in
//     upper snake case, such as GENERIC_WORKER_ROOT_URL, or for a setting inside
//     another GENERIC_WORKER_LOCAL_QUEUE_LISTEN. A variable holds text as it is,
//     and everything that is not text as JSON. Secrets can also stand in a file
//     of their own, named by GENERIC_WORKER_<KEY>_FILE.
//  2. the file, in YAML or JSON,
//  3. the defaults, which stand in schemas.Config.
//
// Objects are merged, everything else is replaced. Relative paths start at the
// worker's working directory, wherever the file is.
//
// Nothing is guessed: unknown keys and variables, duplicate keys, wrong types
// and values that cannot work are errors, all of them reported at once. Settings
// of the official worker that have no effect in this build are accepted and
// named in Config.Ineffective.
package config
