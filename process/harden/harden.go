// Package harden guards the calling process against others of the same user,
// above all the commands it runs.
package harden

import "fmt"

// Self closes the calling process: what it was started with, what it holds in
// memory and what it has open cannot be read by other processes of its user,
// and it leaves no core file. Its children are as open as they would be
// otherwise. It is to be called once, early: what somebody opened before stays
// open to them.
//
// On Linux and FreeBSD this holds against all but root, and on Windows against
// all but administrators. On macOS it refuses debuggers, unless there is one
// already; the environment stays readable.
func Self() error {
	if err := harden(); err != nil {
		return fmt.Errorf("cannot close this process to others of the same user: %w", err)
	}
	return nil
}
