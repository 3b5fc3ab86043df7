package platform

import (
	"encoding/binary"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

func TestBatchFiles(t *testing.T) {
	t.Parallel()
	script, wrapper := batchNames(12)
	if script != "command_000012.bat" || wrapper != "command_000012_wrapper.bat" {
		t.Errorf("names are %s, %s", script, wrapper)
	}
	for line, want := range map[string]string{
		"echo hi":           "echo hi\r\n",
		"echo a\necho b\n":  "echo a\r\necho b\r\n",
		"echo a\r\necho b":  "echo a\r\necho b\r\n",
		"echo %PATH% ^& \"": "echo %PATH% ^& \"\r\n",
	} {
		if diff := cmp.Diff(want, string(batchScript(line))); diff != "" {
			t.Error(diff)
		}
	}
	want := "@call \"%~dp0command_000012.bat\"\r\n" +
		"@set GENERIC_WORKER_EXIT_CODE=%errorlevel%\r\n" +
		"@cmd.exe /d /u /c set ^>\"%~dp0env.txt\" ^& cd ^>\"%~dp0dir.txt\"\r\n" +
		"@exit /b %GENERIC_WORKER_EXIT_CODE%\r\n"
	if diff := cmp.Diff(want, string(batchWrapper(script, nil))); diff != "" {
		t.Error(diff)
	}
	want = "@call \"%~dp0command_000012.bat\"\r\n" +
		"@set GENERIC_WORKER_EXIT_CODE=%errorlevel%\r\n" +
		"@set \"TOKEN=\"\r\n" +
		"@set \"TOKEN_2=\"\r\n" +
		"@cmd.exe /d /u /c set ^>\"%~dp0env.txt\" ^& cd ^>\"%~dp0dir.txt\"\r\n" +
		"@exit /b %GENERIC_WORKER_EXIT_CODE%\r\n"
	if diff := cmp.Diff(want, string(batchWrapper(script, []string{"TOKEN", "TOKEN_2"}))); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{`/a`, `a"b`, "a%b", "a b", "a&b", "ä", "a^b", "a!b"} {
		want := "@call \"%~dp0command_000012.bat\"\r\n" +
			"@set GENERIC_WORKER_EXIT_CODE=%errorlevel%\r\n" +
			"@cmd.exe /d /u /c cd ^>\"%~dp0dir.txt\"\r\n" +
			"@exit /b %GENERIC_WORKER_EXIT_CODE%\r\n"
		if diff := cmp.Diff(want, string(batchWrapper(script, []string{"TOKEN", name}))); diff != "" {
			t.Error(diff)
		}
	}
}

func TestBatchVariables(t *testing.T) {
	t.Parallel()
	saved := "A=1\r\nGENERIC_WORKER_EXIT_CODE=3\r\nGENERIC_WORKER_SESSION=C:\\tasks\r\nEMPTY=\r\nEQ=a=b\r\nLINES=one\r\ntwo\r\nÜ=ß€😀\r\n"
	var raw []byte
	for _, unit := range utf16.Encode([]rune(saved)) {
		raw = binary.LittleEndian.AppendUint16(raw, unit)
	}
	want := []string{"A=1", "EMPTY=", "EQ=a=b", "LINES=one\r\ntwo", "Ü=ß€😀"}
	if diff := cmp.Diff(want, batchVariables(batchText(raw))); diff != "" {
		t.Error(diff)
	}
	if got := batchVariables(batchText(nil)); len(got) > 0 {
		t.Errorf("nothing was saved, yet there is %q", got)
	}
}

func FuzzBatchVariables(f *testing.F) {
	f.Add([]byte("A\x00=\x001\x00\r\x00\n\x00"))
	f.Add([]byte("\r\x00\n\x00=\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, variable := range batchVariables(batchText(raw)) {
			if variable == "" || variable[0] == '=' {
				t.Errorf("%q is no variable", variable)
			}
		}
	})
}
