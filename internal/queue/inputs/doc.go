// Package inputs asks a deployment for what tasks take in: where the content of
// an artifact is, which task an index names, which caches are to be purged.
//
// What belongs to a task is asked for with the task's own credentials, every
// time, so that its scopes decide. Downloading is for others; what they are
// told is an address that needs no credentials.
package inputs
