// Package queue speaks the Taskcluster queue's REST API.
//
// Client makes the calls over HTTP: it signs each request when it is sent,
// bounds every wait and every answer, and retries what may be retried.
// Package local keeps the same promises on one machine and serves them;
// package queuetest states them.
package queue
