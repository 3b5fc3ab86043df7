//go:build unix

package starter

import "fmt"

// Guarded runs f and turns a panic into an error.
func Guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("process: internal error: %v", v)
		}
	}()
	return f()
}
