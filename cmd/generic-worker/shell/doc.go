// Package shell has the command that opens a shell beside a running task, as
// package features/interactive serves it.
package shell
