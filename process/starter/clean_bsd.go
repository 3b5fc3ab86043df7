//go:build darwin || freebsd

package starter

import (
	"os"
	"os/signal"
	"syscall"
)

// CloseInherited sees to it that no child gets a low descriptor that this
// process itself was started with.
func CloseInherited() { closeLow() }

func ignoredSignals() []os.Signal {
	var ignored []os.Signal
	for n := syscall.Signal(1); n < 32; n++ {
		if signal.Ignored(n) {
			ignored = append(ignored, n)
		}
	}
	return ignored
}
