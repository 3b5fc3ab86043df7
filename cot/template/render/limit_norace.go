//go:build linux && !race

package render

// dataLimit is so far above the limit for memory that the watch of Serve comes
// first, and leaves room for what Go needs besides.
func dataLimit(limits Limits) uint64 { return uint64(2*limits.Memory + 256<<20) }
