// Package gpg has OpenPGP keys and what is done with them: make, read and merge
// keys, encrypt and decrypt messages, sign and verify texts, certify keys.
//
// No gpg program is needed. What is written here GnuPG 2.2 reads, and the
// reverse; where both judge a key or a signature, the verdict is the same or
// this package is the stricter one.
//
// Everything read here may be hostile, so all of it is bounded, and nothing is
// returned before the whole of it has been authenticated. Errors branch with
// errors.Is on the values of this package, and never contain plain text.
//
// What the secrets, the signed texts and the keys are for is left to those who
// use it; so are files, and which keys to trust.
package gpg
