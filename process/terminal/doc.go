// Package terminal gives a program a terminal of its own.
//
// A Terminal has two ends. Its program gets one, by Give, when it is started by
// package process: as standard files and as the terminal that controls its
// session. Who types has the other: Read, Write, Resize and HangUp. On Unix it is a
// pseudo terminal, on Windows a pseudo console, which needs Windows 10 1809 or
// Server 2019.
package terminal

// Size is that of a terminal's window, in characters.
type Size struct{ Rows, Cols uint16 }
