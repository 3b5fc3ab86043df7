package tree

import (
	"io/fs"
	"os"
	"time"
)

// Stat is what tells whether a file is still what it was: whoever changes the
// content, the mode or the number of names of a file changes Changed as well,
// and cannot set it back.
type Stat struct {
	Mode     fs.FileMode `json:"mode"`
	Size     int64       `json:"size"`
	Modified int64       `json:"modified"` // nanoseconds since 1970
	Changed  int64       `json:"changed"`  // nanoseconds since 1970
	Inode    uint64      `json:"inode"`

	names    uint64 // how many names the file has
	occupied int64  // bytes on the disk
}

// StatFile tells about an open file.
func StatFile(file *os.File) (Stat, error) { return statFile(file) }

// same tells whether nothing happened to what had the stat before. Of a
// directory only that it is the same one counts: its times change with what is
// in it, which is compared one by one.
func (s Stat) same(now Stat) bool {
	if s.Mode.IsDir() {
		return s.Mode == now.Mode && s.Inode == now.Inode
	}
	return s.Same(now)
}

// Same tells whether nothing happened to the file that had the stat before.
func (s Stat) Same(now Stat) bool {
	return s.Mode == now.Mode && s.Size == now.Size && s.Modified == now.Modified && s.Changed == now.Changed && s.Inode == now.Inode
}

// Racy is how long after a change another one may have the same time: longer than a tick of the
// clock that file systems read.
const Racy = 20 * time.Millisecond

// coarse is the same where file systems keep whole seconds, and some only even ones.
const coarse = 2 * time.Second

// SettlesIn returns how long to wait until a change of a file that was last
// changed at that time cannot go unnoticed.
func SettlesIn(changed int64) time.Duration {
	racy := Racy
	if changed%int64(time.Second) == 0 {
		racy = coarse
	}
	return max(0, min(racy, racy-time.Since(time.Unix(0, changed))))
}
