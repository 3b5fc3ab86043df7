// Package task is one run of one task: what every stage needs to know of it,
// the log its author reads, and how an error resolves it.
//
// Data goes down: a Run is opened from a claim and handed to each stage. One
// thing comes back: an error, which carries the Resolution from the place where
// the knowledge is. What the stages are, and in which order they run, is for
// packages features and worker to say.
package task
