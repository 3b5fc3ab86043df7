// Package platform makes and unmakes the place a task runs in.
//
// An engine opens a Session for each task: a fresh directory, a handle on it
// that no link leads out of, and the environment and identity of the task's
// commands. Closing a session costs one rename, whatever the task left behind:
// the directory goes to a trash beside the others, which one goroutine empties.
//
// Insecure is the engine that runs every task as the worker's own user. What
// to run, and what to publish of what it left, is for others to say.
package platform
