// Package unpack turns archives from anybody into files, inside one directory
// and within limits.
//
// One goroutine unpacks what another makes entries of, while others write
// content. What decodes comes from libraries, behind three things of ours: an
// input that keeps apart whose fault an error is, meters for what comes out,
// and one place that survives their panics. Package tree makes the files,
// package survey looks at an index before a library believes it.
//
// Where archives come from, and what becomes of a directory after an error, is
// for the caller.
package unpack
