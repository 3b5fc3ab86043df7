package platform

import (
	"context"
	"errors"
	"os"
	"strconv"

	"github.com/taskcluster/generic-worker/process"
)

// sessionNameMax keeps paths below a task directory short: programs still
// exist that cannot use long ones.
const sessionNameMax = 20

// Session is the place one task runs in. Its commands are made one by one;
// nothing but Beside may be called concurrently.
type Session struct {
	Dir  string   // absolute path of the task directory
	Root *os.Root // the same directory as a handle no link leads out of
	As   process.Identity
	// Secrets are names of variables that no command may leave on the disk for
	// the next, as commands on Windows do with all others.
	Secrets []string
	// Limit, if set, sets what a command may use. It is called with each that
	// Command and Beside return, before they do, and perhaps concurrently.
	Limit func(*process.Command)

	marker   string   // NAME=value in the environment of all the task's processes
	environ  []string // what commands start from, NAME=value
	commands int      // made so far
	leave    func() error
}

// SessionName returns the name of the directory for one run: "task_", the
// beginning of the task's ID, "_" and the run's number; at most 20 bytes.
func SessionName(taskID string, runID int) string {
	end := "_" + strconv.Itoa(runID)
	room := sessionNameMax - len(sessionPrefix) - len(end)
	return sessionPrefix + taskID[:max(0, min(len(taskID), room))] + end
}

// Command returns the task's next command, ready for its output and its
// limits. Its environment is the worker's, without what is private to the
// worker, and env, which wins. On POSIX systems argv is the program and its
// arguments. On Windows argv holds one line of batch, and every command but
// the first starts with the variables and in the directory that the one before
// it ended with; those in Secrets start anew from env. The caller runs each command to its end before it asks for
// the next.
func (s *Session) Command(argv []string, env map[string]string) (*process.Command, error) {
	if len(argv) == 0 {
		return nil, errors.New("cannot make a command of no arguments")
	}
	command, err := s.command(argv, env)
	if err != nil {
		return nil, err
	}
	s.commands++
	return s.ready(command), nil
}

// Beside returns a command that runs beside the task's own: with the same
// identity, directory and environment, to which env is added and wins. On all
// systems argv is the program and its arguments. It may be called concurrently,
// and what it returns may run while the task's commands do.
func (s *Session) Beside(argv []string, env map[string]string) *process.Command {
	return s.ready(&process.Command{Argv: argv, Dir: s.Dir, Env: merge(s.environ, env)})
}

// ready makes a command one of this session.
func (s *Session) ready(command *process.Command) *process.Command {
	command.As, command.Marker = s.As, s.marker
	if s.Limit != nil {
		s.Limit(command)
	}
	return command
}

// Close takes the place away and closes Root. It takes one rename, not the
// time to delete what the task left. Closing twice is allowed.
func (s *Session) Close(context.Context) error {
	leave := s.leave
	s.leave = nil
	if leave == nil {
		return nil
	}
	return leave()
}
