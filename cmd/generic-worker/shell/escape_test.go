package shell

import "testing"

func TestEscape(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		typed []string
		want  string
		leave bool
	}{
		{typed: []string{"ls\r"}, want: "ls\r"},
		{typed: []string{"~."}, leave: true},
		{typed: []string{"~", "."}, leave: true},
		{typed: []string{"ls\r~.more"}, want: "ls\r", leave: true},
		{typed: []string{"ls\n", "~", "."}, want: "ls\n", leave: true},
		{typed: []string{"ls ~.\r"}, want: "ls ~.\r"},
		{typed: []string{"cd ~", ".\r"}, want: "cd ~.\r"},
		{typed: []string{"~~.\r"}, want: "~.\r"},
		{typed: []string{"~/bin\r"}, want: "~/bin\r"},
		{typed: []string{"~\r~."}, want: "~\r", leave: true},
		{typed: []string{"~"}, want: ""},
		{typed: []string{"", "~", "", "x"}, want: "~x"},
	} {
		keys, got, leave := escape{lineStart: true}, "", false
		for _, typed := range row.typed {
			var send []byte
			send, leave = keys.filter([]byte(typed))
			got += string(send)
		}
		if got != row.want || leave != row.leave {
			t.Errorf("%q: sent %q, left %v", row.typed, got, leave)
		}
	}
	off := escape{off: true, lineStart: true}
	if got, leave := off.filter([]byte("~.")); string(got) != "~." || leave {
		t.Errorf("without a terminal: sent %q, left %v", got, leave)
	}
}
