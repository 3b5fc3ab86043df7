package template_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/taskcluster/generic-worker/cot/template/render"
)

// childArgument makes the test binary the child that renders. A child has no
// environment, so an argument says so.
const childArgument = "render-templates"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == childArgument {
		if err := render.Serve(os.Stdin, os.Stdout, os.Exit); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child renders with this binary.
func child(t testing.TB, limits render.Limits) render.Child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return render.Child{Argv: []string{self, childArgument}, Limits: limits}
}
