// Package osgroups lets tasks rely on groups of the operating system.
//
// Tasks run as the worker's own user, who is in his groups already or never
// will be, so that all there is to do is to look, before anything is prepared.
// With an engine that makes users, Prepare adds the session's user to
// the groups, and a Finish takes him out again.
package osgroups
