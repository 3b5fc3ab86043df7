// Package policy reads what a deployment trusts from one file: the tables that
// a chain of trust is verified with, and the servers that know more.
//
// The file is checked against the schema schemas.ChainPolicy and then for what
// no schema can say; each problem has its place in the file. Nothing of any
// deployment is compiled in: what the file leaves out is not trusted, but for the
// types of tasks and the marks of worker implementations, which come with the
// profile.
//
// What follows from the tables is for package chain.
package policy
