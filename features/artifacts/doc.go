// Package artifacts publishes the files and directories a payload asks for,
// once the commands are done.
//
// What cannot be published becomes an error artifact that says why, and fails
// the task, unless its entry is optional: then only the log tells, and a path
// where there is nothing leaves no trace at all. The other artifacts are
// published whatever happens to one.
package artifacts
