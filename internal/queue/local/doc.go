// Package local is a Taskcluster queue for one machine: the same calls, states
// and refusals, kept in one directory by one process.
//
// Queue makes the calls in process, with all rights. Handler serves them over
// HTTP, to anyone whose request is signed and whose scopes suffice, together
// with what tasks need beside the queue: auth, index, object, purge-cache and
// secrets.
//
// It leaves to its packages: hawk knows who calls, taskdef what a task
// definition is, ledger what becomes of tasks, blob where bytes are kept.
// What a cluster needs is not here: roles, worker pools, pulse messages.
//
// Whoever has no credentials may do what the anonymous role of a public
// deployment usually may: read tasks, statuses, groups and the index, list
// artifacts, and get those whose names begin with public/.
package local
