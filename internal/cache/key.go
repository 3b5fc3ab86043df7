package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/taskcluster/generic-worker/internal/cache/shelf"
)

// Kinds of entries.
const (
	File  = shelf.File
	Tree  = shelf.Tree
	Cache = shelf.Cache
)

// Key says what content is kept. Two keys that differ anywhere are two things.
type Key struct {
	// Source is where it comes from, such as "artifact:<task>:<name>" or
	// "urlcontent:<url>". Only its hash is kept; what is shown of it is without
	// the query and the user of a URL.
	Source string
	Kind   shelf.Kind // File or Tree
	Format string     // how it was compressed or packed; empty if it was not
}

// Archive is the key of the file, as it was downloaded, that a tree is made from.
func (k Key) Archive() Key { return Key{Source: k.Source, Kind: shelf.File} }

func (k Key) hash() string { return hashOf(string(k.Kind), k.Format, k.Source) }

func hashOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// shown is a source as anybody may see it.
func shown(source string) string {
	kind, rest, found := strings.Cut(source, ":")
	if !found || !strings.Contains(rest, "://") {
		return source
	}
	u, err := url.Parse(rest)
	if err != nil {
		return kind
	}
	u.User, u.RawQuery, u.Fragment, u.ForceQuery = nil, "", "", false
	return kind + ":" + u.String()
}
