package wire_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/gpg/wire"
)

func TestNext(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	for name, row := range map[string]struct {
		data       string
		tag        uint8
		body, rest string
		refused    bool
	}{
		"one octet":                     {data: "\xcd\x03abcd", tag: 13, body: "abc", rest: "d"},
		"empty":                         {data: "\xcd\x00", tag: 13},
		"two octets":                    {data: "\xcd\xc0\x6c" + long, tag: 13, body: long},
		"five octets":                   {data: "\xcd\xff\x00\x00\x00\x03abcd", tag: 13, body: "abc", rest: "d"},
		"old, one octet":                {data: "\xb4\x03abcd", tag: 13, body: "abc", rest: "d"},
		"old, two octets":               {data: "\xb5\x00\x03abcd", tag: 13, body: "abc", rest: "d"},
		"old, four octets":              {data: "\xb6\x00\x00\x00\x03abcd", tag: 13, body: "abc", rest: "d"},
		"old, compressed to the end":    {data: "\xa3abcd", tag: 8, body: "abcd"},
		"parts":                         {data: "\xd2\xe1ab\xe0c\x02dee", tag: 18, body: "abcde", rest: "e"},
		"parts that end with nothing":   {data: "\xd2\xe1ab\x00", tag: 18, body: "ab"},
		"nothing":                       {refused: true},
		"no packet":                     {data: "abc", refused: true},
		"header alone":                  {data: "\xcd", refused: true},
		"cut off":                       {data: "\xcd\x03ab", refused: true},
		"length cut off":                {data: "\xcd\xc0", refused: true},
		"long length cut off":           {data: "\xcd\xff\x00\x00", refused: true},
		"larger than the data":          {data: "\xcd\xff\xff\xff\xff\xffabc", refused: true},
		"old, cut off":                  {data: "\xb4\x03ab", refused: true},
		"old, length cut off":           {data: "\xb6\x00", refused: true},
		"old, larger than the data":     {data: "\xb6\xff\xff\xff\xffabc", refused: true},
		"old, a user id to the end":     {data: "\xb7abcd", refused: true},
		"parts of a user id":            {data: "\xcd\xe1ab\x00", refused: true},
		"parts without an end":          {data: "\xd2\xe1ab", refused: true},
		"part that is cut off":          {data: "\xd2\xe2ab", refused: true},
		"part larger than all messages": {data: "\xd2\xfeab", refused: true},
	} {
		data := []byte(row.data)
		before := slices.Clone(data)
		p, rest, ok := wire.Next(data)
		if ok == row.refused || p.Tag != row.tag || string(p.Body) != row.body || string(rest) != row.rest {
			t.Errorf("%s: tag %d, %q, rest %q, %t", name, p.Tag, p.Body, rest, ok)
		}
		if !bytes.Equal(data, before) {
			t.Errorf("%s: the data changed to %q", name, data)
		}
	}
}

// FuzzNext takes packets from anything; each is the same after having been
// written.
func FuzzNext(f *testing.F) {
	f.Add([]byte("\xcd\x03abc\xd2\xe1ab\xe0c\x02de"))
	f.Add([]byte("\xb5\x00\x03abcd\xa3abc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for {
			p, rest, ok := wire.Next(data)
			if !ok {
				return
			}
			if len(rest) >= len(data) {
				t.Fatal("nothing was taken")
			}
			var b bytes.Buffer
			p.Write(&b)
			again, behind, ok := wire.Next(b.Bytes())
			if !ok || again.Tag != p.Tag || !bytes.Equal(again.Body, p.Body) || len(behind) > 0 {
				t.Fatalf("%v, and again %v", p, again)
			}
			data = rest
		}
	})
}

// FuzzParseClearSigned takes files apart and puts them together again.
func FuzzParseClearSigned(f *testing.F) {
	whole, err := (&wire.ClearSigned{Hash: "SHA512", Lines: []string{"a", "-b", ""}, Signature: []byte("xyz")}).Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := wire.ParseClearSigned(file)
		if err != nil {
			return
		}
		whole, err := c.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		again, err := wire.ParseClearSigned(whole)
		if err != nil || !slices.Equal(again.Lines, c.Lines) || again.Hash != c.Hash || !bytes.Equal(again.Signature, c.Signature) {
			t.Fatalf("%v, and again %v, %v", c, again, err)
		}
	})
}
