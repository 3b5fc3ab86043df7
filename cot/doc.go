// Package cot makes, signs and opens certificates of the chain of trust: what
// a worker says about a run it did, so that whoever uses the run's artifacts
// need not trust the queue or the storage between.
//
// A Certificate is written in one form only (Encode), and read without any
// tolerance (Parse): what two JSON readers could understand in two ways is
// refused. A Signer makes the files to publish, with an ed25519 key, an OpenPGP
// key or both; OpenEd25519 and OpenClearSigned return what a trusted key signed.
//
// Which keys are trusted, where files come from, and whether what a
// certificate says is what the queue says, is left to the callers; package
// chain follows a task's ancestry.
package cot
