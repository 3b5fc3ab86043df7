package gitobject

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// The modes of directories and files. There are others, such as those of
// symbolic links.
const (
	Directory  = "40000"
	File       = "100644"
	Executable = "100755"
)

// Node is what a directory has under one name, which leads nowhere else.
type Node struct {
	Mode, Name string
	Hash       plumbing.Hash
}

// ParseTree reads the object of a directory. The error is ErrDamaged.
func ParseTree(data []byte) ([]Node, error) {
	var nodes []Node
	seen := map[string]bool{}
	for len(data) > 0 {
		head, rest, ok := bytes.Cut(data, []byte{0})
		mode, name, spaced := strings.Cut(string(head), " ")
		n := Node{Mode: mode, Name: name}
		if !ok || !spaced || len(rest) < len(n.Hash) {
			return nil, fmt.Errorf("%w: a directory that breaks off", ErrDamaged)
		}
		data = rest[copy(n.Hash[:], rest):]
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\n\r") || seen[name] {
			return nil, fmt.Errorf("%w: a directory with a file named %q", ErrDamaged, name)
		}
		seen[name] = true
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// TreeOf reads which directory a commit is of. The error is ErrDamaged.
func TreeOf(commit []byte) (plumbing.Hash, error) {
	line, _, _ := bytes.Cut(commit, []byte("\n"))
	hash, ok := strings.CutPrefix(string(line), "tree ")
	if !ok || !isHash(hash) {
		return plumbing.ZeroHash, fmt.Errorf("%w: a commit without a directory", ErrDamaged)
	}
	return plumbing.NewHash(hash), nil
}
