// Package loopback gives tasks a video device that shows what is written to it,
// and a sound card that records what is played on it: two features that differ
// in their kernel modules.
//
// There is one device of each for all tasks of a worker: a task waits for its
// turn. What the machine lacks is never the author's fault.
package loopback
