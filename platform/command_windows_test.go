package platform

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestSecretsAreNotSaved has a variable in two commands and in no file.
func TestSecretsAreNotSaved(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"TOKEN", "to ken"} {
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		s := &Session{Dir: root.Name(), Root: root, Secrets: []string{name}, environ: os.Environ()}
		for _, line := range []string{"set PLAIN=plain&echo %" + name + "%", "echo %" + name + "%"} {
			command, err := s.Command([]string{line}, map[string]string{name: "correct horse"})
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			command.Output = &out
			if result, err := command.Run(t.Context()); err != nil || result.ExitCode != 0 || !strings.Contains(out.String(), "\ncorrect horse") {
				t.Errorf("%q printed %q: %v, %v", line, out.String(), result, err)
			}
			saved := s.saved(batchEnviron)
			if strings.Contains(saved, "correct horse") || strings.Contains(saved, "PLAIN=plain") != (name == "TOKEN") {
				t.Errorf("with %q there was saved %q", name, saved)
			}
		}
	}
}
