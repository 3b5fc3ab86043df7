package gitobject

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Tag is an annotated tag of a commit.
type Tag struct {
	Name      string
	Commit    plumbing.Hash
	Tagged    time.Time // in seconds, of the years 1970 to 9999
	Signed    []byte    // what the signature is over
	Signature []byte    // an OpenPGP signature in ASCII armor; nil: there is none
}

const beginSignature = "-----BEGIN PGP SIGNATURE-----\n"

// ParseTag reads the object of a tag as git writes it. What git would skip over
// is refused, with ErrDamaged: the signature is of bytes, and trust is in what
// they say.
func ParseTag(data []byte) (Tag, error) {
	t := Tag{Signed: data}
	if at := signatureAt(data); at >= 0 {
		t.Signed, t.Signature = data[:at], data[at:]
		if signatureAt(t.Signature[len(beginSignature):]) >= 0 {
			return Tag{}, fmt.Errorf("%w: a tag with two signatures", ErrDamaged)
		}
	}
	head, _, ok := bytes.Cut(t.Signed, []byte("\n\n"))
	if !ok || bytes.ContainsAny(head, "\x00\r") {
		return Tag{}, fmt.Errorf("%w: a tag without a message", ErrDamaged)
	}
	lines := strings.Split(string(head), "\n")
	if len(lines) != 4 {
		return Tag{}, fmt.Errorf("%w: a tag with other lines than object, type, tag and tagger", ErrDamaged)
	}
	object, ok1 := strings.CutPrefix(lines[0], "object ")
	name, ok2 := strings.CutPrefix(lines[2], "tag ")
	tagger, ok3 := strings.CutPrefix(lines[3], "tagger ")
	if !ok1 || !ok2 || !ok3 || lines[1] != "type commit" || !isHash(object) || name == "" {
		return Tag{}, fmt.Errorf("%w: a tag that is not one of a commit", ErrDamaged)
	}
	var err error
	if t.Tagged, err = dateOf(tagger); err != nil {
		return Tag{}, err
	}
	t.Commit, t.Name = plumbing.NewHash(object), name
	return t, nil
}

// signatureAt is where a line begins a signature, or -1.
func signatureAt(data []byte) int {
	if bytes.HasPrefix(data, []byte(beginSignature)) {
		return 0
	}
	if at := bytes.Index(data, []byte("\n"+beginSignature)); at >= 0 {
		return at + 1
	}
	return -1
}

// dateOf reads "name <mail> seconds zone".
func dateOf(person string) (time.Time, error) {
	fields := strings.Fields(person[strings.LastIndexByte(person, '>')+1:])
	if len(fields) == 2 {
		if seconds, err := strconv.ParseInt(fields[0], 10, 64); err == nil && 0 <= seconds && seconds < lastSecond {
			return time.Unix(seconds, 0).UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: a tag without a date", ErrDamaged)
}

// lastSecond is the year 9999, the last that dates are written with.
const lastSecond = 253_402_300_800

// isHash tells whether the text is a hash as git writes it.
func isHash(text string) bool {
	return len(text) == 2*len(plumbing.ZeroHash) && strings.Trim(text, "0123456789abcdef") == ""
}
