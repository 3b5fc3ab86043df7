// Package payload turns raw JSON into a validated Payload with defaults.
//
// Parse finds everything that is wrong with a payload at once and says for each
// problem where it is and what to write instead. What depends on more than the
// payload is left to others: whether the pool offers what Requests names and
// whether scopes suffice to the worker and its features, the dates of the task to
// CheckExpiry, the types and encodings of files to those who publish them.
package payload
