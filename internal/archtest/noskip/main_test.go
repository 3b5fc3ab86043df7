package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in      string
		out     string // must be printed
		missing string // must not be printed
		err     string // part of the error; "" is success
	}{
		"pass": {
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`,
			out:     "ok  \tp\t0.1s\n1 tests and subtests, 0 skipped\n",
			missing: "chatter",
		},
		"skip gives the reason": {
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: node is not installed\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
`,
			err: "p TestA: a_test.go:3: node is not installed",
		},
		"skip for want of what may be absent": {
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: SOME_DATA is not set\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
`,
			out: "1 tests and subtests, 1 skipped\nallowed to be skipped: p TestA: a_test.go:3: SOME_DATA is not set\n",
		},
		"skipped subtest": {
			in: `{"Action":"skip","Package":"p","Test":"TestA/b"}
{"Action":"pass","Package":"p","Test":"TestA"}
`,
			err: "p TestA/b: no reason given",
		},
		"fail prints the output": {
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}
`,
			out: "got 1, want 2\n",
			err: "p TestA",
		},
		"unfinished test prints the output": {
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: test timed out\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t1.0s\n"}
{"Action":"fail","Package":"p"}
`,
			out: "panic: test timed out\nFAIL\tp\t1.0s\n",
			err: "failed:\n\tp",
		},
		"package without tests is no skip": {
			in: `{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"q","Output":"?   \tq\t[no test files]\n"}
{"Action":"skip","Package":"q"}
`,
			out: "[no test files]",
		},
		"build failure": {
			in: `{"ImportPath":"p","Action":"build-output","Output":"p/a.go:1: undefined: x\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"fail","Package":"p"}
`,
			out: "undefined: x",
			err: "failed:\n\tp",
		},
		"nothing": {err: "no test ran"},
		"not JSON": {
			in:  "go: cannot find main module\n",
			out: "go: cannot find main module\n",
			err: "no test ran",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := run(strings.NewReader(test.in), &out, "SOME_DATA")
			if !strings.Contains(out.String(), test.out) {
				t.Errorf("printed %q, want it to contain %q", out.String(), test.out)
			}
			if test.missing != "" && strings.Contains(out.String(), test.missing) {
				t.Errorf("printed %q, want it without %q", out.String(), test.missing)
			}
			switch {
			case test.err == "" && err != nil:
				t.Errorf("got error %q, want none", err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("got error %v, want one with %q", err, test.err)
			}
		})
	}
}
