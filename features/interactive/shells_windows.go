package interactive

import "bytes"

// shells are the programs to try, in this order.
func shells() [][]string {
	return [][]string{{"powershell.exe", "-NoLogo"}, {"cmd.exe"}}
}

// typed is what a keyboard would send for the input: Enter is a carriage
// return, which input that comes from a file does not know.
func typed(input []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(input, []byte("\r\n"), []byte("\r")), []byte("\n"), []byte("\r"))
}
