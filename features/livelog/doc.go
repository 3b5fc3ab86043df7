// Package livelog lets people read the log of a task while it runs.
//
// One server in the worker's process serves the logs of all running tasks,
// each under a path that cannot be guessed:
//
//	GET  /log/<token>   the log from its first byte, then what follows, to its end
//	HEAD /log/<token>   the headers of that
//
// Readers follow the file, so any number of them, fast, slow or stuck, costs
// the task nothing: together they take a bounded share of a growing log, and
// one that has taken nothing for ten minutes is dropped. A log that ended well
// ends with a proper end of the stream; any other end is a broken connection.
//
// Range is for readers that come back:
//
//	Range: bytes=N-     206 with what is there from byte N on, then what follows.
//	                    As the end is not known, Content-Range names the last
//	                    position that can be asked for, as in RFC 8673.
//	Range: bytes=N-M    206 with what is there of those bytes, and no more
//	Range: bytes=-N     206 with the last N bytes there are, and no more
//
// A range that begins behind what is there is answered 416, except that
// bytes=N- may begin where the growing log ends. A wrong token is answered 401,
// that of a run which is over 410.
package livelog
