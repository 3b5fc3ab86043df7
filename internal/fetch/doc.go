// Package fetch downloads content by http and https as a stream that goes on
// after broken connections.
//
// A Body is read once, from its first byte to its last, and is hashed as it
// passes. When a connection breaks, stalls or ends early, the next one asks for
// the rest, if the server named what it sent by something that cannot be
// mistaken; otherwise it starts again and skips what was read, which must be
// the same bytes. What is stored gzipped comes out decoded.
//
// What is at the address, whether it may be read, and what to do with it are
// for the caller.
package fetch
