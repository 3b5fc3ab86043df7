// Package tree makes the entries of an archive from anybody as files below one
// directory, which it never leaves. It refuses names and links that lead out,
// on every system the same, and whatever is no file, directory or link. What
// the entries are read from, and how much of it there may be, is for the
// caller to say.
package tree
