// Package footprint keeps the memory of a process that waits small.
package footprint

import "runtime/debug"

// Settle gives back what only the start of the program needed: free memory of
// the heap, and the pages of the program itself, which come back one by one from
// the file cache where they are used again.
func Settle() {
	debug.FreeOSMemory()
	forgetProgram()
}
