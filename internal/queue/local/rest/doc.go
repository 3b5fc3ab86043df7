// Package rest is how services answer API calls as Taskcluster's do: requests
// are authenticated, decoded strictly and bounded, refusals have a code and a
// sentence, and a panic is one answer, not the end of the process.
package rest
