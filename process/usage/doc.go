// Package usage measures what the processes of a command use together, and
// says when that is more than they may.
//
// On Linux the figures come from /proc; the caller replaces those that a
// control group knows better. Elsewhere they are the platform's.
package usage
