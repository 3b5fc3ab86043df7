// Package mask shows Mark in the place of secrets: a Secret is a value of ours
// that prints so, and a Writer replaces known secrets in a stream of bytes.
//
// In a stream, secrets are looked for as they are and in the forms that programs print them
// in: base64, hexadecimal, escaped for JSON, URLs, shells, Go and C, each line
// of a secret with several. The result does not depend on how the stream is cut
// into writes. What is not a known form is not found: masking keeps accidents
// out of logs, and keeps nothing from a program that means to show a secret.
//
// Bytes are withheld only while they are the beginning of something to mask,
// and then until the next write decides or the stream is cut. No time passes
// them on: the first half of a secret that is written slowly would get out.
// What is withheld when the stream is cut is masked if it has MinLength bytes.
package mask
