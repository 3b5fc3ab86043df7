// Package unpack turns archives from anybody into files, inside one directory
// and within limits.
//
// A stream passes through once, each step in goroutines of its own and a
// bounded way ahead of the next:
//
//	received and hashed (by the caller's reader) -> decoded, 2 MiB ahead ->
//	made entries of -> content written by two at a time, 8 MiB ahead
//
// What decodes comes from libraries, behind three things of ours: an
// input that keeps apart whose fault an error is, meters for what comes out,
// and one place that survives their panics. Package tree makes the files,
// package survey looks at an index before a library believes it.
//
// Where archives come from, and what becomes of a directory after an error, is
// for the caller.
package unpack
