// Package footprint keeps the memory of a process that waits small.
package footprint

import (
	"runtime/debug"
	"time"
)

const (
	// starting is how long a program starts at most.
	starting = 100 * time.Millisecond
	// startGarbage is how much garbage may be there meanwhile, in percent of
	// what is in use.
	startGarbage = 400
)

// Start lets a program that has just been started leave garbage behind for a
// moment: collecting it would take a fifth of the whole start.
func Start() {
	usual := debug.SetGCPercent(startGarbage)
	time.AfterFunc(starting, func() { debug.SetGCPercent(usual) })
}

// Settle gives back what only the start of the program needed: free memory of
// the heap, and the pages of the program itself, which come back one by one from
// the file cache where they are used again.
func Settle() {
	debug.FreeOSMemory()
	forgetProgram()
}
