// Package peer finds out who has the far end of a TCP connection within this
// machine.
package peer
