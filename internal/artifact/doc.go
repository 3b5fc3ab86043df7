// Package artifact names, hashes and uploads what a task leaves.
//
// A Publisher announces each artifact to the queue and sends its content to
// the storage the queue names, in one pass over one open handle: the sha256 it
// records is that of the bytes it sent, and a file that changes meanwhile is an
// error, never an upload cut short. Package taskdir opens the files of a task.
//
// What to upload, and what a failed upload means for the task, is for the
// features to say.
package artifact
