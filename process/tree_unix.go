//go:build unix

package process

import (
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tree is a command that was started, and all that descends from it.
//
// Its first process is not reaped before bury. Until then its number can
// belong to no other process, group or session.
type tree struct {
	main    *os.Process
	pid     int
	name    string        // of the program
	ended   chan struct{} // closed when the first process has ended
	endedAt time.Time     // set before that
	osTree
}

// watch begins to wait for the end of the first process.
func (t *tree) watch() {
	t.ended = make(chan struct{})
	go func() {
		awaitExit(t.pid)
		t.endedAt = time.Now()
		close(t.ended)
	}()
}

// ask sends SIGTERM, and lets stopped processes go on to see it.
func (t *tree) ask(alive members) bool {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGCONT} {
		_ = unix.Kill(-t.pid, sig)
		for _, m := range alive {
			if m.Group != t.pid {
				m.signal(sig)
			}
		}
	}
	return true
}

// kill kills the first process's group at once, so that none in it can fork
// meanwhile, then every other.
func (t *tree) kill(alive members) {
	resume := t.killGroup()
	_ = unix.Kill(-t.pid, unix.SIGKILL)
	for _, m := range alive {
		m.signal(unix.SIGKILL)
	}
	resume()
}

// bury reaps the first process and completes res.
func (t *tree) bury(res *Result) {
	t.forget()
	state, err := t.main.Wait()
	if err != nil {
		t.measure(res, new(syscall.Rusage))
		return
	}
	status := state.Sys().(syscall.WaitStatus)
	res.ExitCode = status.ExitStatus()
	if status.Signaled() {
		res.ExitCode = 128 + int(status.Signal())
		res.Signal = status.Signal().String()
		if status.CoreDump() {
			res.Signal += " (core dumped)"
		}
	}
	t.measure(res, state.SysUsage().(*syscall.Rusage))
}

// giveUp leaves a first process that cannot be killed to be reaped if it ever
// ends.
func (t *tree) giveUp() {
	go func() {
		<-t.ended
		t.forget()
		_, _ = t.main.Wait()
	}()
}

// spawn starts path with the files as its first descriptors, and no others.
func (c *Command) spawn(path string, files []*os.File, lim limits) (*tree, error) {
	sys := &syscall.SysProcAttr{Setsid: true, Credential: c.As.user}
	attr := &os.ProcAttr{Dir: c.Dir, Env: c.environment(), Files: files, Sys: sys}
	if c.Terminal != nil {
		c.Terminal.Give(attr)
	}
	t := &tree{name: filepath.Base(path)}
	err := t.launch(func() error {
		p, err := os.StartProcess(path, c.Argv, attr)
		if err != nil {
			return err
		}
		t.main, t.pid = p, p.Pid
		return nil
	}, c, attr, lim)
	if err != nil {
		return nil, err
	}
	t.watch()
	return t, nil
}
