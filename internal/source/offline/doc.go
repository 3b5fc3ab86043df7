// Package offline is where the bytes come from that a chain of trust is verified
// with when no server is to be asked.
//
//   - Directory is a Forge for a checkout or an exported tree.
//   - Recorder passes on what another source and forge say and keeps it; Bundle is
//     what it kept. A bundle gives the verdict that was given when it was made.
//
// Who verifies from a directory trusts it as they would trust the queue and the
// servers of the repositories; only certificates and artifacts are signed.
package offline
