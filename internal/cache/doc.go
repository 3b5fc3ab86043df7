// Package cache keeps what tasks may have again: writable caches, downloaded
// files, and trees of files that were unpacked from archives.
//
// # Transactions
//
// Whatever is kept is an entry: a directory with its content, and a file about
// it. An entry is made in a staging directory and gets its place by one rename,
// when all of it is there. Before its content leaves for a task, a lease is
// written into the entry, and it is taken away when the content is back and the
// file about it is written. So who opens the store after a kill at any moment
// knows: what is in staging is half made, what has a lease was in use. Both are
// discarded, and no task ever sees a half cache.
//
// # Trees
//
// A tree that an archive was unpacked to is moved into the task and back, which
// costs nothing, however large it is. It is shown to nobody else before it was
// compared with the list made when it was filled: size, mode, times, and
// identity of every file. What a task added is removed; a tree with anything
// changed or missing is discarded.
//
// It leaves to others to download and unpack, to ask which caches are to be
// purged, and to say how a task ended.
package cache
