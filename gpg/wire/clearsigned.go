package wire

import (
	"bytes"
	"fmt"
	"strings"
)

const (
	beginClearSigned = "-----BEGIN PGP SIGNED MESSAGE-----"
	beginSignature   = "-----BEGIN " + BlockSignature + "-----"
	hashHeader       = "Hash: "
)

// ClearSigned is a clear-signed text, taken apart.
type ClearSigned struct {
	Hash      string   // name of the algorithm, as the header has it
	Lines     []string // of the text, as they are signed: joined with CR LF
	Signature []byte   // packets
}

// Bytes puts the text together, as GnuPG writes it. The lines have passed
// Misfit.
func (c *ClearSigned) Bytes() ([]byte, error) {
	armored, err := Enarmor(BlockSignature, c.Signature)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(beginClearSigned + "\n" + hashHeader + c.Hash + "\n\n")
	for _, line := range c.Lines {
		if strings.HasPrefix(line, "-") {
			b.WriteString("- ")
		}
		b.WriteString(line + "\n")
	}
	b.Write(armored)
	return b.Bytes(), nil
}

// Misfit says what a line has that a clear-signed text cannot have, or that
// programs are known to treat differently; nothing if the line is fine.
func Misfit(line string) string {
	switch {
	case strings.HasSuffix(line, " ") || strings.HasSuffix(line, "\t"):
		return "ends with a blank"
	case strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return "has a control character"
	}
	return ""
}

// ParseClearSigned takes a file apart that is one clear-signed text, written the
// way programs write it, and nothing else. The error is ErrNotClearSigned or
// ErrDamaged.
func ParseClearSigned(file []byte) (*ClearSigned, error) {
	lines, err := Lines(file)
	if err != nil {
		return nil, err
	}
	if lines[0] != beginClearSigned {
		return nil, fmt.Errorf("%w: the first line is not %s", ErrNotClearSigned, beginClearSigned)
	}
	if len(lines) < 3 || !strings.HasPrefix(lines[1], hashHeader) || lines[2] != "" {
		return nil, fmt.Errorf("%w: exactly one header is needed there, %sNAME, and then an empty line", ErrNotClearSigned, hashHeader)
	}
	signed := &ClearSigned{Hash: strings.TrimPrefix(lines[1], hashHeader)}
	for i, line := range lines[3:] {
		if line == beginSignature {
			var rest []string
			signed.Signature, rest, err = Dearmor(BlockSignature, lines[3+i:])
			if err != nil {
				return nil, err
			}
			if len(rest) > 0 {
				return nil, fmt.Errorf("%w: there is something behind the signature", ErrNotClearSigned)
			}
			return signed, nil
		}
		line, ok := unescaped(line)
		if !ok {
			return nil, fmt.Errorf("%w: line %d has a dash that is not escaped, or an escape that is not needed", ErrNotClearSigned, 4+i)
		}
		if what := Misfit(line); what != "" {
			return nil, fmt.Errorf("%w: line %d %s", ErrNotClearSigned, 4+i, what)
		}
		signed.Lines = append(signed.Lines, line)
	}
	return nil, fmt.Errorf("%w: it has no signature", ErrNotClearSigned)
}

// unescaped takes the escape from a line that begins with a dash. GnuPG also
// escapes lines that mail programs would change.
func unescaped(line string) (string, bool) {
	if !strings.HasPrefix(line, "-") {
		return line, true
	}
	text, escaped := strings.CutPrefix(line, "- ")
	return text, escaped && (strings.HasPrefix(text, "-") || strings.HasPrefix(text, "From "))
}

// Lines splits a text whose lines end with LF, or all with CR LF; the last
// one may have no end, and there is at least one. Otherwise it is ErrDamaged.
func Lines(text []byte) ([]string, error) {
	content := strings.TrimSuffix(string(text), "\n")
	end := "\n"
	if first, _, _ := strings.Cut(content, "\n"); strings.HasSuffix(first, "\r") {
		content, end = strings.TrimSuffix(content, "\r"), "\r\n"
	}
	lines := strings.Split(content, end)
	for i, line := range lines {
		if strings.ContainsAny(line, "\r\n") {
			return nil, fmt.Errorf("%w: line %d ends in another way than the first one", ErrDamaged, i+1)
		}
	}
	return lines, nil
}
