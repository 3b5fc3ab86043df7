// Package archtest checks what docs/design.md says and a machine can check:
// which folders there are and what they may import, how large things may grow,
// and what the code must not do.
//
// Every rule is a function from the parsed tree to findings. It sees all files,
// whatever platform they are for, so a rule broken on one operating system
// fails on every other one too. A warning is shown and a failure fails the
// test. testdata holds one archive per rule, with code that breaks it and the
// findings to expect.
package archtest
