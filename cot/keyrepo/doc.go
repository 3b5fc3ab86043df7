// Package keyrepo reads repositories of the public keys with which workers sign
// certificates, and keeps the last good version of one.
//
// A repository is a git repository with a directory for each worker
// implementation. In a flat directory every file is a key that counts. A signed
// directory has the keys of people in trusted/, and in valid/ those of workers,
// which count if one of these people has certified them. A version is a commit
// that a signed tag names.
//
// Read believes nothing but the keys of those who may sign tags: the tag's
// signature is verified, and from there on the hash of everything that is read,
// which comes from git's objects and never from the work tree. No git and no gpg
// are run. ReadFiles reads the same layout from plain files, for those who edit
// them.
//
// Store keeps what Read returned, so that a version that does not verify changes
// nothing. Nothing here uses the network: to fetch is left to git and its
// operator, and what a certificate says to package cot.
package keyrepo
