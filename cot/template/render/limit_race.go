//go:build linux && race

package render

import "golang.org/x/sys/unix"

// dataLimit is none, since the race detector maps far more memory than it uses.
func dataLimit(Limits) uint64 { return unix.RLIM_INFINITY }
