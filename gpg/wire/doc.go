// Package wire knows how OpenPGP data are framed: packets, ASCII armor,
// clear-signed texts and the plain text within decrypted data. What it reads may
// be hostile. It knows no keys; package gpg does.
package wire

import "errors"

// Why data are refused.
var (
	// ErrDamaged is an input that is broken, whatever in it is.
	ErrDamaged = errors.New("damaged OpenPGP data")
	// ErrTooLarge is an input, or what becomes of it, beyond its limit.
	ErrTooLarge = errors.New("too large")
	// ErrTrailing is a message with something behind it.
	ErrTrailing = errors.New("there is something behind the end of the message")
	// ErrNotClearSigned is a file that is not one clear-signed text and nothing
	// else.
	ErrNotClearSigned = errors.New("not a clear-signed text")
)
