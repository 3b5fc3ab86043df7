// Package features says what a feature is: something a task may ask for, or
// that every task gets, which takes part in the stages of a run.
//
//	claim
//	  │  the log is opened, the payload parsed, the session opened
//	  ├─ Attach    each feature in order: does this task ask for me?
//	  ├─ Prepare   in order, before the first command
//	  │  the task's commands, one by one
//	  ├─ Watch     beside each command, all at once
//	  ├─ Hold      only if a command failed, before anything is cleaned up
//	  ├─ Finish    in reverse order, log still open
//	  │  the log is closed
//	  ├─ Seal      in order: publish the log, sign
//	  │  the run is resolved
//	  └─ Close     in reverse order
//
// Each subpackage is one feature; package all lists them in order.
package features
