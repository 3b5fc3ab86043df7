package platform

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// batchCode is the variable in which a wrapper keeps the exit code of the
// line it ran while it saves what the next command starts from.
const batchCode = "GENERIC_WORKER_EXIT_CODE"

// The files of one command, in the worker's own folder of the task directory.
const (
	batchFolder  = "generic-worker"
	batchEnviron = "env.txt"
	batchDir     = "dir.txt"
)

func batchNames(index int) (script, wrapper string) {
	name := fmt.Sprintf("command_%06d", index)
	return name + ".bat", name + "_wrapper.bat"
}

// batchScript is the file for one line of a payload, which may contain
// several.
func batchScript(line string) []byte {
	line = strings.ReplaceAll(line, "\r\n", "\n")
	return []byte(strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\n", "\r\n") + "\r\n")
}

// batchWrapper runs the script beside it and then saves its variables and its
// directory. A cmd of its own writes them, because only cmd /u writes what the
// console's code page cannot express, and the task's own output must not
// become UTF-16. A script that ends cmd itself, with exit and not exit /b,
// leaves the saved files of the command before it. Secret variables are not
// saved, and if one has a name that batch could misunderstand, none are.
func batchWrapper(script string, secrets []string) []byte {
	lines := []string{`@call "%~dp0` + script + `"`, `@set ` + batchCode + `=%errorlevel%`}
	saved := `set ^>"%~dp0` + batchEnviron + `" ^& `
	for _, name := range secrets {
		if !batchPlain(name) {
			saved = ""
		}
	}
	if saved != "" {
		for _, name := range secrets {
			lines = append(lines, `@set "`+name+`="`)
		}
	}
	lines = append(lines, `@cmd.exe /d /u /c `+saved+`cd ^>"%~dp0`+batchDir+`"`, `@exit /b %`+batchCode+`%`, ``)
	return []byte(strings.Join(lines, "\r\n"))
}

// batchPlain tells whether batch takes a variable's name for nothing else.
func batchPlain(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	})
}

// batchText decodes what cmd /u wrote: UTF-16 in little endian.
func batchText(data []byte) string {
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(data[2*i:])
	}
	return string(utf16.Decode(units))
}

// batchVariables returns the variables a command ended with, without those
// that the worker gives every command anew. A line without a name belongs to
// the value before it.
func batchVariables(text string) []string {
	var variables []string
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		name, _, ok := strings.Cut(line, "=")
		switch {
		case name == batchCode || name == markerName:
		case ok && name != "":
			variables = append(variables, line)
		case len(variables) > 0:
			variables[len(variables)-1] += "\r\n" + line
		}
	}
	return variables
}
