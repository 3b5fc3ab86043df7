package disk

import (
	"bytes"
	"encoding/hex"

	"go.etcd.io/bbolt"
)

// Page says which part of a list is wanted: at most Limit entries after the
// one that Token, from the page before, stands for.
type Page struct {
	Token string
	Limit int
}

// Walk visits one page of the entries whose keys begin with prefix and
// returns the token of the next page, if any: the hidden key that it begins
// with.
func Walk(b *bbolt.Bucket, prefix []byte, page Page, visit func(key, value []byte)) string {
	from := prefix
	if rest, err := hex.DecodeString(page.Token); err == nil {
		from = append(bytes.Clone(prefix), rest...)
	}
	n := 0
	c := b.Cursor()
	for key, value := c.Seek(from); bytes.HasPrefix(key, prefix); key, value = c.Next() {
		if n == page.Limit {
			return hex.EncodeToString(key[len(prefix):])
		}
		visit(key, value)
		n++
	}
	return ""
}
