// Package chain verifies where a task comes from: that it and everything it
// uses were made by tasks of trusted workers, down to a decision task that is as
// its repository wants it.
//
// Verify goes through these steps; verify.go has them in this order.
//
//  1. Links: the task's creator, images and upstream tasks, and theirs.
//  2. Certificates: one for each link, its signature, and whose it is.
//  3. Artifacts: what the rules and the task itself need, hashed while it comes in.
//  4. Rules: each link against its task graph, its image, its pool, its template.
//  5. Trace: repositories, and restricted scopes against trees.
//
// Every question is a rule with an id. Each link has its list of rules from the
// beginning, all of them undecided; a rule has to be answered for its link to be
// verified, so a fault on the way, whichever it is, cannot turn out well. One
// answer does not keep the others from being given.
//
// Bytes come through a Source, trust through a Policy: the package makes no
// connections and reads no configuration. Templates of decision tasks are for
// package template, key repositories for package keyrepo.
package chain
