//go:build !linux

package payload

// longestString is the length in bytes of the longest argument or NAME=value:
// here only all of them together have a limit.
const longestString = 1 << 20
