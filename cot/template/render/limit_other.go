//go:build !linux

package render

// limitProcess does nothing: here only the watch of Serve and the parent's
// deadline bound the process.
func limitProcess(Limits) error { return nil }
