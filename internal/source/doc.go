// Package source is where the bytes come from that a chain of trust is verified
// with: tasks and artifacts from a queue, templates and pushes from the servers
// of repositories. Its part offline is the same without servers.
//
// Queue and Forge ask only the servers they were told of, follow redirects to no
// others, and bound every wait and every answer. They judge nothing of what they
// read: that is for the packages below cot.
package source
