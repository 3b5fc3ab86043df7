package platform

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/taskcluster/generic-worker/process"
)

// savedMax bounds what is read of the files that a task's command could write.
const savedMax = 8 << 20

func (s *Session) command(argv []string, env map[string]string) (*process.Command, error) {
	if len(argv) != 1 {
		return nil, fmt.Errorf("cannot make a command of %d arguments: a command is one line of batch here", len(argv))
	}
	script, wrapper := batchNames(s.commands)
	err := s.Root.Mkdir(batchFolder, 0o700)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	err = errors.Join(err, s.writeBatch(script, batchScript(argv[0])), s.writeBatch(wrapper, batchWrapper(script, s.Secrets)))
	if err != nil {
		return nil, fmt.Errorf("cannot write command %d: %w", s.commands, err)
	}
	command := &process.Command{
		Argv: []string{filepath.Join(s.Dir, batchFolder, wrapper)},
		Dir:  s.Dir,
		Env:  merge(s.environ, env),
	}
	if s.commands > 0 {
		s.restore(command, env)
	}
	return command, nil
}

func (s *Session) writeBatch(name string, content []byte) error {
	path := filepath.Join(batchFolder, name)
	// An earlier command may have put anything there.
	if err := s.Root.RemoveAll(path); err != nil {
		return err
	}
	file, err := s.Root.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// restore gives the command the variables and the directory that the one
// before it ended with, as far as it saved them.
func (s *Session) restore(command *process.Command, env map[string]string) {
	if variables := batchVariables(s.saved(batchEnviron)); len(variables) > 0 {
		for _, name := range s.Secrets {
			variables = append(variables, name+"="+env[name])
		}
		command.Env = variables
	}
	if dir := strings.TrimSpace(s.saved(batchDir)); dir != "" {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			command.Dir = dir
		}
	}
}

func (s *Session) saved(name string) string {
	file, err := s.Root.Open(filepath.Join(batchFolder, name))
	if err != nil {
		return ""
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, savedMax))
	if err != nil {
		return ""
	}
	return batchText(data)
}
