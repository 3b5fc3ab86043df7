package source_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/taskcluster/generic-worker/cot/template/render"
)

const childArgument = "render-templates"

// TestMain makes the test binary the child that renders.
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
