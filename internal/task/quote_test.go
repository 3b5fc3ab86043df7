package task

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// quoted returns what becomes of output that is written in parts.
func quoted(parts ...string) string {
	var out strings.Builder
	q := &quoter{to: func(p []byte) { out.Write(p) }}
	for _, part := range parts {
		fmt.Fprint(q, part)
	}
	q.cut()
	return out.String()
}

// unquoted takes the marks away again.
func unquoted(text string) string {
	return regexp.MustCompile(`(^|[\r\n])> ((?:> )*\[taskcluster[ :])`).ReplaceAllString(text, "$1$2")
}

func TestG3LinesLikeTheWorkersAreMarked(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]string{
		"[taskcluster 2026] x\n":                   "> [taskcluster 2026] x\n",
		"[taskcluster:error] x":                    "> [taskcluster:error] x",
		"a\n[taskcluster:warn]\r[taskcluster ":     "a\n> [taskcluster:warn]\r> [taskcluster ",
		"> [taskcluster 2026] x\n":                 "> > [taskcluster 2026] x\n",
		" [taskcluster 2026]\nx[taskcluster:error": " [taskcluster 2026]\nx[taskcluster:error",
		"[taskcluster]\n[taskcluster-x]\n[task":    "[taskcluster]\n[taskcluster-x]\n[task",
		"[[taskcluster \n>[taskcluster \n":         "[[taskcluster \n>[taskcluster \n",
		"> > \n[taskcluster":                       "> > \n[taskcluster",
		"\x00\xff\x1b[31m\u202e\n\r\n":             "\x00\xff\x1b[31m\u202e\n\r\n",
		"":                                         "",
	} {
		if diff := cmp.Diff(want, quoted(output)); diff != "" {
			t.Errorf("%q: %s", output, diff)
		}
		if diff := cmp.Diff(want, quoted(strings.Split(output, "")...)); diff != "" {
			t.Errorf("%q, byte by byte: %s", output, diff)
		}
	}
}

// pieces are what output is made of that might confuse the marking.
var pieces = []string{"[taskcluster", "[taskcluster ", "[taskcluster:", "[task", "cluster ", "\n", "\r", "> ", ">", " ", "[", "x", "\xff"}

func TestG3OutputIsThereWithoutTheMarks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom(pieces)).Draw(t, "parts")
		checkQuoted(t, parts)
	})
}

func FuzzLogPipeline(f *testing.F) {
	f.Add([]byte("a\n[taskcluster 1] x\r> [taskcluster:error]\n"), uint8(3))
	f.Fuzz(func(t *testing.T, output []byte, size uint8) {
		var parts []string
		for chunk := range bytes.SplitSeq(output, []byte{size}) {
			parts = append(parts, string(chunk), string(size))
		}
		checkQuoted(t, parts)
	})
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func checkQuoted(t failer, parts []string) {
	t.Helper()
	output := strings.Join(parts, "")
	got := quoted(parts...)
	if whole := quoted(output); got != whole {
		t.Fatalf("%q became %q in parts and %q as a whole", parts, got, whole)
	}
	if unquoted(got) != output {
		t.Fatalf("%q became %q", output, got)
	}
	if regexp.MustCompile(`(^|[\r\n])\[taskcluster[ :]`).MatchString(got) {
		t.Fatalf("%q has a line like the worker's: %q", output, got)
	}
}

func TestG3TheWorkersLinesAreNotMarked(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	reader := follow(t, log, 0)
	fmt.Fprint(log, "\n[taskcluster")
	log.Error("one\r[taskcluster:error] forged\ntwo")
	fmt.Fprint(log, "[taskcluster")
	fmt.Fprint(log, ":error] three\n")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	want := "\n[taskcluster[taskcluster:error] one\r> [taskcluster:error] forged\n[taskcluster:error] two\n> [taskcluster:error] three\n"
	if diff := cmp.Diff(want, readAll(t, reader)); diff != "" {
		t.Error(diff)
	}
}
