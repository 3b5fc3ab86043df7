//go:build !windows

package platform

import "github.com/taskcluster/generic-worker/process"

func (s *Session) command(argv []string, env map[string]string) (*process.Command, error) {
	return &process.Command{Argv: argv, Dir: s.Dir, Env: merge(s.environ, env)}, nil
}
