// Package process runs one command to its end and kills all it started.
//
// [Command.Run] starts the command in its own session with nothing open but
// its three standard files, hands on what it prints, waits for its end, and
// then sees to it that no descendant is left, whatever that descendant did to
// hide: leave the session, daemonise, ignore signals, hold the output open.
//
// How descendants are found differs by system. Linux starts the command in a
// cgroup of its own where it may make one, and always adopts orphans; FreeBSD
// tracks them through its reaper; Windows through a job object; elsewhere the
// process table is searched for the command's session, its children and its
// [Command.Marker].
//
// The first Run prepares the calling process once: it adopts orphaned
// descendants (Linux, FreeBSD), writes no core files, catches and drops the
// signals it was started to ignore, so that commands start with default
// dispositions, and keeps the descriptors it was started with to itself (all
// Unix). On Unix other than Linux, and on Linux where a thread may not have its
// own, it takes umask 022.
//
// The package knows nothing of tasks, users' names or logs.
package process
