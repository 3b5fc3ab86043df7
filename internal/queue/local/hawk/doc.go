// Package hawk tells who sent a request and what they may do, as a Taskcluster
// deployment does: Hawk headers and bewits, temporary credentials with their
// certificates, restrictions by authorizedScopes, and scope expressions.
//
// Roles are not known here: a scope assume:… satisfies nothing but itself. It
// leaves to its user which clients exist and what everyone may do.
package hawk
