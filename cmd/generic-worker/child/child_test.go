package child_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/child"
	"github.com/taskcluster/generic-worker/cot/template/render"
)

// TestMain makes the test binary what the tests start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		command := child.Command(os.Exit)
		command.SetArgs(os.Args[2:])
		if err := command.Execute(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestRender(t *testing.T) {
	t.Parallel()
	renderer, err := child.Render(render.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	result, err := renderer.Render(t.Context(), render.Job{Template: []byte("$eval: '1 + 1'")})
	if err != nil || strings.TrimSpace(string(result)) != "2" {
		t.Errorf("%s, error %v", result, err)
	}
	endless := `{"$eval":"range(0, 1000000000000)"}`
	if _, err := renderer.Render(t.Context(), render.Job{Template: []byte(endless)}); !errors.Is(err, render.ErrTemplate) {
		t.Error(err)
	}
}

func TestNoJob(t *testing.T) {
	t.Parallel()
	command := child.Command(nil)
	command.SetIn(strings.NewReader(""))
	command.SetArgs([]string{"render"})
	command.SilenceErrors, command.SilenceUsage = true, true
	if err := command.Execute(); err == nil || !strings.Contains(err.Error(), "cannot read what to render") {
		t.Error(err)
	}
}
