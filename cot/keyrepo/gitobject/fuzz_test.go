package gitobject

import (
	"bytes"
	"strings"
	"testing"
)

const someTag = "object 81b217c5551d1d738eef7b6459dacdfd7c059418\ntype commit\ntag v1\ntagger A <a@example.com> 1496279195 -0700\n\nv1\n" +
	beginSignature + "\nAA==\n-----END PGP SIGNATURE-----\n"

// FuzzTag: what is signed and the signature are the object, and what is taken
// from it stands in it as git writes it.
func FuzzTag(f *testing.F) {
	f.Add([]byte(someTag))
	f.Add([]byte(strings.Replace(someTag, "v1\n-", "-", 1)))
	f.Add([]byte(strings.ReplaceAll(someTag, "\n", "\r\n")))
	f.Add([]byte(beginSignature + someTag))
	f.Fuzz(func(t *testing.T, data []byte) {
		tag, err := ParseTag(data)
		if err != nil {
			return
		}
		if !bytes.Equal(append(bytes.Clone(tag.Signed), tag.Signature...), data) {
			t.Error("the parts are not the whole")
		}
		if !bytes.HasPrefix(tag.Signed, []byte("object "+tag.Commit.String()+"\ntype commit\ntag "+tag.Name+"\ntagger ")) {
			t.Errorf("%+v of %q", tag, data)
		}
		if y := tag.Tagged.Year(); y < 1970 || y > 9999 {
			t.Error(tag.Tagged)
		}
	})
}

// FuzzTree: a directory is what git writes for it, and no name leads out of it.
func FuzzTree(f *testing.F) {
	f.Add([]byte("100644 a.pub\x0001234567890123456789"))
	f.Add([]byte("40000 dir\x0001234567890123456789120000 link\x0001234567890123456789"))
	f.Fuzz(func(t *testing.T, data []byte) {
		nodes, err := ParseTree(data)
		if err != nil {
			return
		}
		var again []byte
		for _, n := range nodes {
			if n.Name == "" || n.Name == ".." || strings.ContainsAny(n.Name, "/\\") {
				t.Errorf("%q", n.Name)
			}
			again = append(append(again, n.Mode+" "+n.Name+"\x00"...), n.Hash[:]...)
		}
		if !bytes.Equal(again, data) {
			t.Error("the parts are not the whole")
		}
	})
}
