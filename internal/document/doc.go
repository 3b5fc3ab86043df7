// Package document reads one YAML or JSON document strictly, into one tree with
// positions, and checks it against a JSON schema.
//
// The same tree feeds the check and the decoding, so that what was checked is
// what runs: there is no second reader to disagree about duplicate keys, the
// case of keys, numbers or broken text. What such readers disagree about is
// refused here with the place where it stands.
//
// All problems of a document are found at once, in order of position, each with
// a JSON pointer, what is wrong and what to write instead. Values are quoted
// only in part, and not at all below keys that a schema marks as writeOnly.
//
// What a document means is left to the packages that decode it.
package document
