// Package disk keeps records in one file that one process has open. Every
// change is on disk before the call that makes it returns; changes that come
// together share one commit. It also keeps time: events become due at their
// moment, and entries, small values under a name, expire.
//
// What the records mean is for its users to know.
package disk
