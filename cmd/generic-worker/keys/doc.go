// Package keys has the commands about keys and what is encrypted to them. What
// they print on standard output is meant for programs: a public key, or an item
// for a payload, and nothing else. Those of the group keys, about the keys of
// many workers, also print lists for people, and JSON on request.
package keys
