package output

import (
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// holderWait bounds the wait for a process outside the job that was handed the
// other end of the pipe.
const holderWait = 5 * time.Second

func openPipe() (r, w *os.File, err error) { return os.Pipe() }

// Drain returns when all that is in the pipe has been written. The pipe ends
// by itself once the job is empty.
func (o *Output) Drain() {
	timer := time.NewTimer(holderWait)
	defer timer.Stop()
	select {
	case <-o.done:
	case <-timer.C:
		_ = windows.CancelIoEx(windows.Handle(o.pipe.Fd()), nil)
		<-o.done
	}
	_ = o.pipe.Close()
}

// rest does nothing: reads have no deadlines here.
func (o *Output) rest([]byte) {}
