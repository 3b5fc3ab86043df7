package process

import "syscall"

const rssUnit = 1 // ru_maxrss is in bytes

func adoptOrphans() bool { return false } // launchd does

// dieWithParent does nothing: Darwin has no such thing.
func dieWithParent(*syscall.SysProcAttr) {}

func (t *tree) adopted() map[int]bool { return nil }

func (t *tree) killGroup() (resume func()) { return func() {} }
