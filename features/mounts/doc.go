// Package mounts puts into the task directory what the payload's mounts ask
// for, before the first command, and takes back what is kept, after the last.
//
// All content is fetched at the same time, and hashed, decompressed and unpacked
// as it arrives, into the store of package cache; then the mounts are put in
// place one after another, in the order of the payload. A tree is moved into the
// task and back, a file is copied, and a writable cache is lent to one task at a
// time. What a payload contains itself is written straight into the task: it may
// be a secret, so neither the store nor the log sees it.
//
// The lines in the task's log are those of the official worker, in its order and
// number, because tools read them. While a mount waits for its turn, so do its
// lines. A line about a step that is not taken any more says so.
//
// How archives are unpacked, how downloads survive broken connections and how
// entries of the store outlive a crash is for packages unpack, fetch and cache.
package mounts
