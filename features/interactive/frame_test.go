package interactive

import (
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/process/terminal"
)

func TestParseFrame(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]struct {
		input string
		size  *terminal.Size
		bad   bool
	}{
		"":                         {bad: true},
		"\x00":                     {bad: true},
		"\x01":                     {},
		"\x01ls\n":                 {input: "ls\n"},
		"\x01\x02":                 {input: "\x02"},
		"\x02":                     {bad: true},
		"\x02\x18\x00\x50":         {bad: true},
		"\x02\x18\x00\x50\x00":     {size: &terminal.Size{Rows: 24, Cols: 80}},
		"\x02\xff\xff\x01\x02":     {size: &terminal.Size{Rows: 65535, Cols: 513}},
		"\x02\x18\x00\x50\x00\x00": {bad: true},
		"\x02\x18\x00\x00\x00":     {},
		"\x02\x00\x00\x50\x00":     {},
		"\x03\x18\x00\x50\x00":     {bad: true},
	} {
		got, err := parseFrame(websocket.MessageBinary, []byte(message))
		if (err != nil) != want.bad || string(got.input) != want.input {
			t.Errorf("%q is %+v, %v", message, got, err)
		}
		if diff := cmp.Diff(want.size, got.size); diff != "" {
			t.Errorf("%q: %s", message, diff)
		}
		if _, err := parseFrame(websocket.MessageText, []byte(message)); err == nil {
			t.Errorf("%q is taken as text", message)
		}
	}
}

func FuzzShellFrames(f *testing.F) {
	for _, seed := range []string{"", "\x01ls\n", "\x02\x18\x00\x50\x00", "\x02\x00", "\x03", "\x02\x18\x00\x50\x00\x00"} {
		f.Add(true, []byte(seed))
	}
	f.Add(false, []byte("\x01ls\n"))
	f.Fuzz(func(t *testing.T, binary bool, message []byte) {
		kind := websocket.MessageText
		if binary {
			kind = websocket.MessageBinary
		}
		frame, err := parseFrame(kind, message)
		switch {
		case err != nil:
			if frame.input != nil || frame.size != nil {
				t.Errorf("%q is refused and is %+v", message, frame)
			}
		case frame.size != nil:
			if frame.size.Rows == 0 || frame.size.Cols == 0 || len(message) != 5 {
				t.Errorf("%q is the size %+v", message, frame.size)
			}
		case len(frame.input) >= len(message):
			t.Errorf("%q is the input %q", message, frame.input)
		}
	})
}
