//go:build unix

// Package starter prepares a process to start others, so that they inherit
// nothing of what it was itself started with.
package starter
