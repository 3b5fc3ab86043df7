// Package chainoftrust signs what a task was and what came out of it: a
// certificate over the complete log and the artifacts, as they were uploaded,
// with keys that the worker has in memory.
//
// A certificate is made for every run that asked and was not canceled, also for
// one that failed: it says how the run ended. A run that asked and whose
// certificate cannot be made or published does not complete.
//
// The task itself can say something in AdditionalData, which goes into one member
// of the certificate that is called unverified.
package chainoftrust
