// Package worker claims runs from a queue, takes each through its stages and
// resolves it.
//
// run.go is the story of one task; every other file is a footnote to it:
// worker.go claims, lease.go keeps the claim, stages.go does what the story
// names, record.go has the journal remember what was running when the worker was killed.
// What a task can have beyond commands is for the features; where it runs, for
// the engine.
package worker
