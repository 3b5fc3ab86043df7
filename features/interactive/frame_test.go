package interactive

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/process/terminal"
)

// TestParseFrame: what is none of the two is passed over, as by the official worker.
func TestParseFrame(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]struct {
		input string
		size  *terminal.Size
	}{
		"":                         {},
		"\x00":                     {},
		"\x01":                     {},
		"\x01ls\n":                 {input: "ls\n"},
		"\x01\x02":                 {input: "\x02"},
		"\x02":                     {},
		"\x02\x18\x00\x50":         {},
		"\x02\x18\x00\x50\x00":     {size: &terminal.Size{Rows: 24, Cols: 80}},
		"\x02\xff\xff\x01\x02":     {size: &terminal.Size{Rows: 65535, Cols: 513}},
		"\x02\x18\x00\x50\x00\x00": {size: &terminal.Size{Rows: 24, Cols: 80}},
		"\x02\x18\x00\x00\x00":     {},
		"\x02\x00\x00\x50\x00":     {},
		"\x03\x18\x00\x50\x00":     {},
	} {
		got := parseFrame([]byte(message))
		if string(got.input) != want.input {
			t.Errorf("%q is the input %q", message, got.input)
		}
		if diff := cmp.Diff(want.size, got.size); diff != "" {
			t.Errorf("%q: %s", message, diff)
		}
	}
}

func FuzzShellFrames(f *testing.F) {
	for _, seed := range []string{"", "\x01ls\n", "\x02\x18\x00\x50\x00", "\x02\x00", "\x03", "\x02\x18\x00\x50\x00\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		frame := parseFrame(message)
		if size := frame.size; size != nil && (size.Rows == 0 || size.Cols == 0 || len(frame.input) > 0) {
			t.Errorf("%q is the size %+v and the input %q", message, size, frame.input)
		}
		if len(frame.input) > 0 && "\x01"+string(frame.input) != string(message) {
			t.Errorf("%q is the input %q", message, frame.input)
		}
	})
}
