// Package table reads the system's process table, on Linux, FreeBSD and Darwin.
package table
