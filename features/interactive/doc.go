// Package interactive lets people open a shell beside a running task.
//
// One server in the worker's process serves the shells of all running tasks,
// each under a path that cannot be guessed, which the artifact
// private/generic-worker/shell.html leads to:
//
//	GET /shell/<secret>    a websocket
//	  to the shell         byte 1, then what was typed;
//	                       byte 2, then rows and columns, 16 bits each, little-endian
//	  from the shell       what the terminal shows, without a byte before it
//
// Messages of other kinds are passed over.
//
// The end of the shell closes the websocket with status 1000, the end of the
// task with 1001, both with a sentence. A wrong secret is answered 401, that of
// a run which is over 410, a page of another site 403.
//
// A shell is a command like the task's own: the same directory, environment and
// identity, and nothing that was started in it outlives it, nor does it outlive
// the task. Nothing that happens to it, and nobody who uses it, makes the task
// wait, but for a task that asks for holdOnFailure: it is kept for a while when
// a command failed.
package interactive
