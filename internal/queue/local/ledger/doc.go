// Package ledger keeps tasks, their runs and what belongs to them on one
// disk, and moves them through their states as the Taskcluster queue does.
//
// Every change is committed to disk before the call that makes it returns.
// Changes that arrive together share one commit. One goroutine resolves what
// time resolves: claims that expire, deadlines, and everything's expiry.
//
// Who may do what is not decided here, nor are artifacts' bytes kept here.
package ledger
