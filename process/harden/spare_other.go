//go:build !linux

package harden

// Spare does nothing: only Linux kills for want of memory.
func Spare() error { return nil }
