// Package taskfile reads a task as people write it in a file: it finds all
// mistakes, and fills in what need not be written.
package taskfile
