// Package source is where the bytes come from that a chain of trust is verified
// with: tasks and artifacts from a queue, templates and pushes from the servers
// of repositories, or all of it from a directory.
//
//   - Queue and Forge speak HTTP. They ask only the servers they were told of,
//     follow redirects to no others, and bound every wait and every answer.
//   - Directory is a Forge without network, for a checkout or an exported tree.
//   - Recorder passes on what another source and forge say and keeps it; Bundle is
//     what it kept. A bundle gives the verdict that was given when it was made.
//
// None of them judges what it reads: that is for the packages below cot. In
// particular, who verifies from a directory trusts it as they would trust the queue and the
// servers of the repositories; only certificates and artifacts are signed.
package source
