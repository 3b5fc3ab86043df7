package terminal

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ in, want string }{
		"plain text":               {"hello\tworld\r\n", "hello\tworld\r\n"},
		"colors pass":              {"\x1b[1;31mred\x1b[0m\x1b[m", "\x1b[1;31mred\x1b[0m\x1b[m"},
		"window title":             {"\x1b]0;owned\a", "^[]0;owned^G"},
		"cursor movement":          {"\x1b[2J", "^[[2J"},
		"bell, backspace, delete":  {"\a\b\x7f", "^G^H^?"},
		"NUL":                      {"\x00", "^@"},
		"other scripts":            {"grüße, 世界", "grüße, 世界"},
		"8-bit control characters": {"\u009b31m", "\ufffd31m"},
		"invalid UTF-8":            {"\xff\xfe", "\ufffd\ufffd"},
		"reordered text":           {"a\u202eb", "a\ufffdb"},
		"endless color":            {"\x1b[" + strings.Repeat("1;", 40) + "m", "^[[" + strings.Repeat("1;", 40) + "m"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var whole, single bytes.Buffer
			if _, err := (&Visible{To: &whole}).Write([]byte(row.in)); err != nil {
				t.Fatal(err)
			}
			v := &Visible{To: &single}
			for i := range len(row.in) {
				if _, err := v.Write([]byte{row.in[i]}); err != nil {
					t.Fatal(err)
				}
			}
			if whole.String() != row.want || single.String() != row.want {
				t.Errorf("at once %q, byte by byte %q, want %q", whole.String(), single.String(), row.want)
			}
		})
	}
}

// FuzzVisible: whatever is written, in whatever pieces, nothing but colors
// controls the terminal.
func FuzzVisible(f *testing.F) {
	f.Add([]byte("\x1b[31mred\x1b]0;x\a"), 3)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		cut = max(0, min(cut, len(text)))
		var out bytes.Buffer
		v := &Visible{To: &out}
		_, _ = v.Write(text[:cut])
		_, _ = v.Write(text[cut:])
		shown := out.String()
		for strings.Contains(shown, "\x1b") {
			before, after, _ := strings.Cut(shown, "\x1b")
			rest := strings.TrimLeft(strings.TrimPrefix(after, "["), "0123456789;")
			if !strings.HasPrefix(after, "[") || !strings.HasPrefix(rest, "m") {
				t.Fatalf("%q shows as %q", text, out.String())
			}
			shown = before + rest
		}
		for _, r := range shown {
			if unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' {
				t.Fatalf("%q shows as %q", text, out.String())
			}
		}
	})
}
