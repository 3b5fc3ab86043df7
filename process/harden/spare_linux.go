package harden

import (
	"fmt"
	"os"
)

// spared is where this process stands when the kernel looks for one to kill for
// want of memory: behind nearly all others.
const spared = "-900"

// Spare asks the kernel to kill nearly anything else first for want of memory.
// That takes a right that root has. Children stand where this process does,
// unless they are told otherwise.
func Spare() error {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(spared), 0); err != nil {
		return fmt.Errorf("cannot lower the worker's place among processes to kill for want of memory: %w", err)
	}
	return nil
}
